"""From a policy file to rules: presets, sets, files."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.policy.judging import judge, request

from gateway.config.reading import parse_section
from gateway.engine.policy.loading import (
    MAX_LIST_BYTES,
    PRESETS,
    LoadedPolicy,
    compile_policy,
    load_policy,
)
from gateway.engine.policy.model import PolicyFile
from gateway.errors import ConfigError

MODERATE = [
    "absurd-request", "public-file-rate", "acme-challenge", "robots-txt", "fake-crawler", "unconfirmed-crawler",
    "search-engine", "ai-assistant", "signed-agent-rate", "signed-agent", "helper-rate", "helper", "automation",
    "suspicious-browser", "address-rate", "request-rate",
]  # fmt: skip


def names(loaded: LoadedPolicy) -> list[str]:
    return [rule.name for rule, *_ in loaded.policy.rules]


def loaded(text: str) -> LoadedPolicy:
    return compile_policy(parse_section(text, "policy.yaml", PolicyFile), "policy.yaml")


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(text)
    return str(raised.value)


# -- files


def test_no_file_is_the_preset_moderate() -> None:
    built_in = load_policy(None)

    assert (names(built_in), built_in.source) == (MODERATE, "preset moderate")
    assert (built_in.files, dict(built_in.lists)) == ((), {})
    assert not built_in.policy.dry_run


def test_file_is_loaded_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("preset: none\ndry_run: true\nrules: [{name: all, action: block}]")

    for name in (path, str(path)):
        of_file = load_policy(name)
        assert (names(of_file), of_file.source, of_file.policy.dry_run) == (["all"], str(path), True)


def test_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^/nowhere/policy\.yaml: cannot be read: No such file or directory$"):
        load_policy("/nowhere/policy.yaml")


def test_mistakes_of_a_file_have_its_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("preset: none\nrules:\n  - name: a\n    action: deny\n  - name: b\n    match: {address: x}\n")

    with pytest.raises(ConfigError) as raised:
        load_policy(path)

    lines = str(raised.value).splitlines()
    assert [line.partition(" got")[0] for line in lines] == [
        f"{path}:4: rules[0].action:", f"{path}:5: rules[1].action:"
    ]  # fmt: skip


@pytest.mark.parametrize("without_javascript", [True, False])
def test_way_without_javascript_is_the_configurations(without_javascript: bool) -> None:
    assert load_policy(None, without_javascript=without_javascript).policy.without_javascript is without_javascript


# -- presets


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_preset_loads_and_every_rule_says_what_it_is_for(preset: str) -> None:
    text = (PRESETS / f"{preset}.yaml").read_text()

    rules = names(loaded(f"preset: {preset}"))

    assert rules[:5] == ["absurd-request", "public-file-rate", "acme-challenge", "robots-txt", "fake-crawler"]
    assert rules[-1] == "request-rate"
    assert text.startswith("# ")


def test_own_rules_come_before_the_presets() -> None:
    text = "rules: [{name: mine, action: allow}, {name: yours, action: block}]"

    assert names(loaded(text)) == ["mine", "yours", *MODERATE]


def test_preset_none_leaves_the_own_rules_alone() -> None:
    assert names(loaded("preset: none\nrules: [{name: mine, action: allow}]")) == ["mine"]


def test_disabled_rules_of_the_preset_are_left_out() -> None:
    assert names(loaded("disable: [automation, helper-rate]")) == [
        name for name in MODERATE if name not in ("automation", "helper-rate")
    ]


def test_own_rule_stands_in_the_place_of_the_presets_of_the_same_name() -> None:
    text = "rules: [{name: automation, match: {bot: any}, action: challenge}, {name: mine, action: tag}]"

    assert names(loaded(text)) == ["mine", *MODERATE]
    assert judge(loaded(text).policy, request(UserAgent="curl/8.9.1"))[0].action == "challenge"


def test_own_rule_of_a_name_that_is_disabled_too_comes_first() -> None:
    text = "disable: [automation]\nrules: [{name: automation, match: {bot: any}, action: challenge}]"

    assert names(loaded(text)) == ["automation", *(name for name in MODERATE if name != "automation")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "disable: [automation, automaton]",
            "policy.yaml: disable[1]: got 'automaton'; expected a rule of the preset moderate: "
            + ", ".join(sorted(MODERATE)),
        ),
        (
            "sites: [{hosts: x.example, preset: none, disable: [a]}]",
            "policy.yaml: sites[0].disable[0]: got 'a'; expected a rule of the preset none: it has none",
        ),
        (
            "preset: none\ndisable: [a]",
            "policy.yaml: disable[0]: got 'a'; expected a rule of the preset none: it has none",
        ),
    ],
)
def test_disabling_what_is_not_there_is_told(text: str, expected: str) -> None:
    assert refused(text) == expected


# -- sets


def in_set(policy: LoadedPolicy, address: str) -> bool:
    return judge(policy.policy, request(IP=address))[0].rule == "listed"


LISTED = "preset: none\nrules: [{name: listed, match: {address: office}, action: block}]\n"


def test_set_holds_its_addresses_and_those_of_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("# ours\n203.0.113.0/25   # half\n\n  2001:db8::/32 ; all\n")
    second.write_bytes(b"\xef\xbb\xbf198.51.100.77/24,DE\r\n")

    third = tmp_path / "third"
    third.write_text('{"prefixes": [{"ipv4Prefix": "192.0.2.128/28"}]}')
    text = f"{LISTED}sets: {{office: {{addresses: 192.0.2.1, files: [{first}, {second}, {third}]}}}}"

    policy = loaded(text)

    inside = ["192.0.2.1", "203.0.113.127", "2001:db8:1::1", "198.51.100.1", "::ffff:192.0.2.1", "192.0.2.130"]
    outside = ["192.0.2.2", "203.0.113.128", "2001:db9::1", "198.51.101.1", "nothing"]
    assert [address for address in inside if not in_set(policy, address)] == []
    assert [address for address in outside if in_set(policy, address)] == []
    assert policy.files == (str(first), str(second), str(third))
    assert dict(policy.lists) == {}


def test_set_beside_addresses_in_one_match() -> None:
    policy = loaded(
        "preset: none\nsets: {office: {addresses: 192.0.2.1}}\n"
        "rules: [{name: listed, match: {address: [office, 198.51.100.0/24]}, action: block}]"
    )

    assert in_set(policy, "192.0.2.1") and in_set(policy, "198.51.100.9")
    assert not in_set(policy, "192.0.2.2")


def test_set_with_urls_is_there_for_who_fetches_them_and_holds_what_is_put_into_it() -> None:
    from gateway.engine.network import Networks

    policy = loaded(f"{LISTED}sets: {{office: {{addresses: 192.0.2.1, urls: https://a.example/list, refresh: 10m}}}}")

    fetched = policy.lists["office"]
    assert (fetched.settings.urls, fetched.settings.refresh) == (("https://a.example/list",), 600.0)
    assert list(fetched.fixed.intervals(4)) == [(0xC0000201, 0xC0000201)]
    assert not in_set(policy, "203.0.113.7")

    fetched.target.networks = Networks.union([fetched.fixed, Networks.parse(["203.0.113.0/24"])])
    assert in_set(policy, "203.0.113.7") and in_set(policy, "192.0.2.1")


def test_set_is_found_in_the_depth_of_a_match() -> None:
    policy = loaded(
        "preset: none\nsets: {office: {addresses: 192.0.2.0/24}}\n"
        "rules: [{name: listed, match: {none_of: [{any_of: [{address: office}]}]}, action: block}]"
    )

    assert in_set(policy, "203.0.113.7") and not in_set(policy, "192.0.2.7")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"192.0.2.1\noffice\n", "line 2 has 'office', expected a network or an address"),
        (b"192.0.2.0/33", "line 1 has '192.0.2.0/33', expected a network or an address"),
        (b"x" * 200, f"line 1 has '{'x' * 40}', expected a network or an address"),
        (b'["192.0.2.1", "office"]', "the list has 'office', expected a network or an address"),
        (b"\xff\xfe", "the list is not UTF-8"),
        (b"#" * (MAX_LIST_BYTES + 1), "too long"),
    ],
)
def test_file_of_a_set_that_is_no_list_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)

    assert refused(f"sets: {{office: {{files: {path}}}}}") == (
        f"policy.yaml: sets.office.files[0]: got {str(path)!r} ({reason}); "
        f"expected a list of addresses and networks, text or JSON, at most {MAX_LIST_BYTES} bytes"
    )
