"""Whose command it is: `--provider`, the store's, the only one that is configured; and options of others."""

from __future__ import annotations

import pytest
from posture.command.commands import Operator

COMMANDS = [
    ("scan", "start", "example.com"),
    ("scan", "show", "scn_0001"),
    ("report", "scn_0001", "--format", "json", "-o", "report.json"),
]
SECURITYSPACE = {"base_url": "https://127.0.0.1:9/api/", "key": "k-of-space", "userid": "u", "password": "p-of-space"}


@pytest.mark.parametrize("command", COMMANDS)
def test_provider_that_is_not_clear_is_exit_2_and_nothing_is_sent(
    operator: Operator, command: tuple[str, ...]
) -> None:
    said = operator.refused(*command).err

    assert "which provider? Say --provider ddactic|cypersecurity|securityspace|embedded" in said
    assert "(ddactic, cypersecurity)" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_provider_of_a_configuration_without_any_is_exit_2(operator: Operator, command: tuple[str, ...]) -> None:
    operator.write("posture: {}\n")

    assert "none is configured" in operator.refused(*command).err


@pytest.mark.parametrize(
    "command", [*COMMANDS, ("scan", "list"), ("findings",), ("events",)], ids=lambda command: command[0]
)
@pytest.mark.parametrize("provider", ["cypersecurity", "securityspace"])
def test_provider_that_is_not_configured_is_exit_2_and_nothing_is_sent(
    operator: Operator, command: tuple[str, ...], provider: str
) -> None:
    operator.configure("ddactic")

    said = operator.refused(*command, "--provider", provider).err

    assert f"{provider} is not configured" in said
    assert f"posture.providers.{provider}" in said


@pytest.mark.parametrize(
    ("command", "provider"),
    [
        (("domains", "list"), "ddactic"),
        (("domains", "add", "example.com"), "ddactic"),
        (("webhooks", "list"), "cypersecurity"),
        (("webhooks", "create"), "cypersecurity"),
        (("org", "show"), "cypersecurity"),
        (("org", "update", "--name", "x"), "cypersecurity"),
        (("team", "list"), "cypersecurity"),
        (("team", "invite", "a@example.com"), "cypersecurity"),
        (("dns", "list"), "securityspace"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_command_of_one_platform_that_is_not_configured_is_exit_2(
    operator: Operator, command: tuple[str, ...], provider: str
) -> None:
    operator.configure("ddactic" if provider == "cypersecurity" else "cypersecurity", webhooks={})

    assert f"{provider} is not configured" in operator.refused(*command).err


def test_only_configured_provider_needs_no_name(operator: Operator) -> None:
    operator.configure("cypersecurity")
    assert operator.document("scan", "start", "example.com")["scan"]["provider"] == "cypersecurity"

    operator.configure("ddactic")
    assert operator.document("scan", "start", "example.com")["scan"]["provider"] == "ddactic"


def test_provider_that_the_store_has_for_an_id_is_asked(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic")
    operator.document("scan", "start", "example.com", "--provider", "cypersecurity")
    operator.forget()

    assert operator.document("scan", "show", "scn_0001")["scan"]["provider"] == "ddactic"
    assert operator.document("scan", "show", "scan_0001")["scan"]["provider"] == "cypersecurity"
    assert operator.sent() == ["ddactic GET /scans/scn_0001", "cypersecurity GET /scans/scan_0001"]


def test_provider_that_the_store_has_for_an_id_counts_more_than_the_only_configured_one(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic")
    operator.configure("cypersecurity")

    assert "ddactic is not configured" in operator.refused("scan", "show", "scn_0001").err


def test_id_that_two_providers_have_is_exit_2_until_one_is_named(operator: Operator) -> None:
    operator.cypersecurity.scans["scn_0001"] = operator.cypersecurity._add("example.com", "nmap", {})
    operator.cypersecurity.scans["scn_0001"].id = "scn_0001"
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic")
    operator.document("scan", "show", "scn_0001", "--provider", "cypersecurity")

    said = operator.refused("scan", "show", "scn_0001").err

    assert "(cypersecurity, ddactic)" in said
    assert operator.document("scan", "show", "scn_0001", "--provider", "ddactic")["scan"]["type"] == "passive"


@pytest.mark.parametrize(
    ("provider", "options", "owner"),
    [
        ("ddactic", ("--option", "a=b"), "cypersecurity"),
        ("ddactic", ("--exclude-dos",), "securityspace"),
        ("ddactic", ("--notify",), "securityspace"),
        ("cypersecurity", ("--webhook-url", "https://hooks.example"), "ddactic"),
        ("cypersecurity", ("--webhook-url", ""), "ddactic"),
        ("cypersecurity", ("--notify",), "securityspace"),
        ("embedded", ("--option", "a=b"), "cypersecurity"),
        ("embedded", ("--webhook-url", "https://hooks.example"), "ddactic"),
        ("embedded", ("--exclude-dos",), "securityspace"),
    ],
)
def test_option_of_another_provider_is_exit_2_and_nothing_is_sent(
    operator: Operator, provider: str, options: tuple[str, ...], owner: str
) -> None:
    operator.configure(providers={"embedded": {"targets": {"example.com": {}}}})

    said = operator.refused("scan", "start", "example.com", "--provider", provider, *options).err

    assert said == f"error: {options[0]} is for {owner}, and not for {provider}\n"


@pytest.mark.parametrize(
    ("provider", "type", "types"),
    [
        ("ddactic", "nmap", "passive, active, full"),
        ("cypersecurity", "passive", "nmap, zap, sqlmap"),
        ("embedded", "deep", "passive, active, full"),
        ("securityspace", "full", "advanced, standard, norisk, desktop, basic"),
    ],
)
def test_type_of_another_provider_is_exit_2_and_nothing_is_sent(
    operator: Operator, provider: str, type: str, types: str
) -> None:
    operator.configure(providers={"securityspace": SECURITYSPACE, "embedded": {}})

    said = operator.refused("scan", "start", "example.com", "--provider", provider, "--type", type).err

    assert said == f"error: --type: got '{type}'; {provider} has {types}\n"


def test_securityspace_has_no_default_type(operator: Operator) -> None:
    operator.configure(providers={"securityspace": SECURITYSPACE})

    said = operator.refused("scan", "start", "self", "--provider", "securityspace").err

    assert said == "error: --type is needed: advanced, standard, norisk, desktop, basic\n"
