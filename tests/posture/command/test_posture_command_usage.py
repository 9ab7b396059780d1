"""What cannot be used is exit code 2: options, values, the configuration. Nothing is sent then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from posture.command.commands import DDACTIC_KEY, Operator, checked, typed


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "start", "x", "--provider", "nobody"),
        ("scan", "start", "x", "--provider", "ddactic", "--fail-on", "awful"),
        ("scan", "start", "x", "--provider", "ddactic", "--wait-timeout", "soon"),
        ("scan", "start", "x", "--provider", "ddactic", "--wait-timeout", "-1s"),
        ("scan", "start", "x", "--provider", "ddactic", "--webhook-url", "ftp://hooks.example"),
        ("scan", "start", "x", "--provider", "ddactic", "--webhook-url", ""),
        ("scan", "start", "x", "--provider", "cypersecurity", "--option", "ports"),
        ("scan", "start", "x", "--provider", "cypersecurity", "--option", "=1"),
        ("scan", "start", "two words", "--provider", "cypersecurity"),
        ("scan", "start", "", "--provider", "cypersecurity"),
        ("scan", "start",),
        ("scan", "start", "x", "y"),
        ("scan", "list", "--status", "pending"),
        ("scan", "list", "--limit", "0"),
        ("scan", "list", "--limit", "many"),
        ("scan", "show"),
        ("scan", "show", "", "--provider", "ddactic"),
        ("scan", "show", "..", "--provider", "ddactic"),
        ("scan", "show", "..", "--provider", "cypersecurity"),
        ("scan", "show", "x" * 201, "--provider", "ddactic"),
        ("scan", "show", "a\udcffb", "--provider", "cypersecurity"),
        ("scan", "stop", "x"),
        ("domains", "list", "--limit", "-1"),
        ("domains", "list", "--provider", "ddactic"),
        ("domains", "list", "--format", "xml"),
        ("domains", "list", "--format", "sarif"),
        ("findings", "--severity", "worst"),
        ("findings", "--fail-on", ""),
        ("findings", "--format", "csv"),
        ("findings", "--new", "--gone"),
        ("findings", "--new", "--open", "--gone"),
        ("report", "scn_1", "--provider", "ddactic", "-o", "x"),
        ("report", "scn_1", "--provider", "ddactic", "--format", "json"),
        ("report", "scn_1", "--provider", "ddactic", "--format", "docx", "-o", "x"),
        ("report", "scn_1", "--provider", "ddactic", "--format", "json", "--type", "short", "-o", "x"),
        ("org", "update"),
        ("org", "update", "--name", " "),
        ("team", "invite"),
        ("team", "invite", "nobody"),
        ("team", "invite", "a@example.com", "--role", "two words"),
        ("webhooks", "create"),
        ("events", "--limit", "1"),
        ("events", "--format", "sarif"),
        ("nothing",),
    ],
    ids=lambda arguments: " ".join(arguments)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_wrong_usage_is_exit_2_one_line_and_nothing_is_sent(operator: Operator, arguments: tuple[str, ...]) -> None:
    ran = operator.refused(*arguments)

    assert len(ran.lines) == 1, ran.err


@pytest.mark.parametrize("command", [("domains", "list"), ("findings",), ("events",), ("org", "show"), ("serve",)])
def test_command_without_a_configuration_is_exit_2(command: tuple[str, ...]) -> None:
    ran = checked(typed("posture", *command))

    assert (ran.code, ran.out) == (2, "")
    assert "--config" in ran.err


@pytest.mark.parametrize("group", [(), ("scan",), ("domains",), ("webhooks",), ("org",), ("team",)])
def test_group_without_a_command_shows_its_help(group: tuple[str, ...]) -> None:
    ran = checked(typed("posture", *group))

    assert (ran.code, ran.err) == (2, "")
    assert "Usage: " in ran.out


def test_options_stand_after_the_command(operator: Operator) -> None:
    ran = checked(typed("posture", "-c", str(operator.file), "domains", "list"))

    assert (ran.code, ran.out) == (2, "")


# --- the configuration ------------------------------------------------------------------------------------------------


def test_file_with_posture_alone_is_enough(operator: Operator) -> None:
    assert list(operator.configuration) == ["posture"]
    assert operator.document("domains", "list")["total"] == 1


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"stores": "x"}, "posture.stores"),
        ({"store": "mysql://x/y"}, "posture.store"),
        ({"store": "sqlite://posture.db"}, "posture.store"),
        ({"providers": {"ddactic": {"key": None}}}, "posture.providers.ddactic.key"),
        ({"providers": {"ddactic": {"key": "a", "key_file": "key.secret"}}}, "posture.providers.ddactic.key"),
        ({"providers": {"ddactic": {"key_file": "absent.secret"}}}, "posture.providers.ddactic.key_file"),
        ({"providers": {"ddactic": {"key": "a", "tiemout": "1s"}}}, "posture.providers.ddactic.tiemout"),
        ({"providers": {"ddactic": {"key": "a", "timeout": "long"}}}, "posture.providers.ddactic.timeout"),
        ({"providers": {"ddactic": {"key": "a", "ca": "absent.pem"}}}, "posture.providers.ddactic.ca"),
        ({"providers": {"ddactic": {"key": "a", "retry": {"attempts": 0}}}}, "ddactic.retry.attempts"),
        ({"providers": {"ddactic": {"key": "a", "poll": {"interval": "9s", "max": "1s"}}}}, "poll"),
        ({"providers": {"ddactic": {"key": "a", "max_answer": "lots"}}}, "posture.providers.ddactic.max_answer"),
        ({"providers": {"ddactic": {"key": "a", "base_url": "http://api.example/v1"}}}, "ddactic.base_url"),
        ({"providers": {"cypersecurity": {"key": "a", "base_url": "ftp://localhost"}}}, "cypersecurity.base_url"),
        ({"providers": {"cypersecurity": {"key": "a", "userid": "u"}}}, "posture.providers.cypersecurity.userid"),
        ({"providers": {"securityspace": {"key": "a", "userid": "u"}}}, "posture.providers.securityspace.password"),
        (
            {"providers": {"securityspace": {"key": "a", "userid": "u", "password": "p", "base_url": "http://127.0.0.1"}}},
            "posture.providers.securityspace.base_url",
        ),
        ({"providers": {"nobody": {"key": "a"}}}, "posture.providers.nobody"),
        ({"providers": {"embedded": {"burst": 0}}}, "posture.providers.embedded.burst"),
        ({"providers": {"embedded": {"targets": {"a.example": {"url": "nowhere"}}}}}, "url"),
        ({"webhooks": {"ddactic": {}}}, "posture.webhooks.ddactic.secret"),
        ({"webhooks": {"ddactic": {"secret": "a", "secret_file": "key.secret"}}}, "posture.webhooks.ddactic.secret"),
        ({"webhooks": {"public_url": "hooks.example"}}, "posture.webhooks.public_url"),
        ({"webhooks": {"address": "nowhere"}}, "posture.webhooks.address"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("command", [("domains", "list"), ("findings",)], ids=lambda command: command[0])
def test_mistake_in_the_configuration_is_exit_2_and_names_the_key(
    operator: Operator, section: dict[str, Any], key: str, command: tuple[str, ...]
) -> None:
    (operator.folder / "key.secret").write_text("of-a-file\n")
    operator.configure(**section)

    ran = operator.refused(*command)

    assert key in ran.err


@pytest.mark.parametrize("place", ["key: '${NO_SUCH_KEY}'", "base_url: '${NO_SUCH_KEY}'"])
def test_variable_that_is_not_set_is_exit_2_and_named(operator: Operator, place: str) -> None:
    operator.write(f"posture: {{providers: {{ddactic: {{{place}}}}}}}\n")

    assert "NO_SUCH_KEY" in operator.refused("domains", "list").err


def test_variable_that_is_set_is_the_key(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDACTIC_KEY", DDACTIC_KEY)
    operator.write(
        f"posture: {{providers: {{ddactic: {{base_url: '{operator.ddactic.url}', key: '${{DDACTIC_KEY}}'}}}}}}"
    )

    assert operator.document("domains", "list")["total"] == 1


def test_key_of_a_file_loses_its_end_newline(operator: Operator) -> None:
    file = operator.folder / "key.secret"
    file.write_text(DDACTIC_KEY + "\n")
    operator.write(
        f"posture: {{providers: {{ddactic: {{base_url: '{operator.ddactic.url}', key_file: '{file}'}}}}}}"
    )

    assert operator.document("domains", "list")["total"] == 1


@pytest.mark.parametrize("text", ["posture: [", "posture: 7", "posture:\n\tx: 1", "- 1"])
def test_file_that_is_no_configuration_is_exit_2(operator: Operator, text: str) -> None:
    operator.write(text)

    operator.refused("domains", "list")


def test_file_that_is_not_there_is_exit_2(tmp_path: Path) -> None:
    ran = checked(typed("posture", "findings", "-c", str(tmp_path / "absent.yaml")))

    assert (ran.code, ran.out) == (2, "")
    assert "absent.yaml" in ran.err


def test_store_is_beside_the_configuration_and_not_where_the_command_runs(
    operator: Operator, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)

    operator.document("findings")

    assert operator.store_file.exists()
    assert list(elsewhere.iterdir()) == []
