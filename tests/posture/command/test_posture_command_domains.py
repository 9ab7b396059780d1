"""`domains list` and `domains add` without verification."""

from __future__ import annotations

import json

import pytest
from posture.command.commands import Operator, assert_domain
from posture.standin.server import Fault

EXAMPLE = {
    "id": "dom_abc123", "name": "example.com", "verified": True, "last_scan": "2025-12-17T10:30:00Z",
    "risk_score": 4.2, "owner": {"team": "web"},
}  # fmt: skip


def pages(operator: Operator) -> list[tuple[str, str]]:
    return [(call.query["limit"], call.query["offset"]) for call in operator.ddactic.calls]


def test_domains_list_prints_every_field_and_what_the_document_does_not_have(operator: Operator) -> None:
    operator.ddactic.domains.clear()
    operator.ddactic.add_domain(EXAMPLE)

    document = operator.document("domains", "list")

    assert list(document) == ["domains", "total"]
    assert_domain(document["domains"][0])
    assert document == {
        "domains": [
            {
                "id": "dom_abc123",
                "name": "example.com",
                "verified": True,
                "verification": None,
                "last_scan": "2025-12-17T10:30:00Z",
                "risk_score": 4.2,
                "raw": EXAMPLE,
            }
        ],
        "total": 1,
    }
    assert pages(operator) == [("100", "0")]


def test_domains_list_asks_for_each_page_of_a_hundred_once(operator: Operator) -> None:
    for number in range(249):
        operator.ddactic.add_domain(f"shop-{number}.example")

    document = operator.document("domains", "list")

    assert len({one["id"] for one in document["domains"]}) == document["total"] == 250
    assert pages(operator) == [("100", "0"), ("100", "100"), ("100", "200")]


@pytest.mark.parametrize(
    ("limit", "asked"),
    [(1, [("100", "0")]), (100, [("100", "0")]), (101, [("100", "0"), ("100", "100")])],
)
def test_domains_list_with_a_limit_stops_there_and_counts_all(
    operator: Operator, limit: int, asked: list[tuple[str, str]]
) -> None:
    for number in range(249):
        operator.ddactic.add_domain(f"shop-{number}.example")

    document = operator.document("domains", "list", "--limit", str(limit))

    assert (len(document["domains"]), document["total"]) == (limit, 250)
    assert pages(operator) == asked


def test_domains_list_of_nobody_is_an_empty_document_and_a_sentence(operator: Operator) -> None:
    operator.ddactic.domains.clear()

    assert operator.document("domains", "list") == {"domains": [], "total": 0}
    assert operator.run("domains", "list").out.strip() == "no domains"


def test_domains_list_as_a_table_says_what_is_verified(operator: Operator) -> None:
    operator.ddactic.add_domain("new.example", verified=False)

    printed = operator.run("domains", "list").out

    lines = [line.split() for line in printed.splitlines() if "dom_" in line]
    assert [line[:3] for line in lines] == [["example.com", "dom_0001", "yes"], ["new.example", "dom_0002", "no"]]


def test_domains_list_never_lets_a_platform_command_the_terminal(operator: Operator) -> None:
    operator.ddactic.add_domain("evil\x1b[2J.example")

    printed = operator.run("domains", "list").out

    assert "\x1b" not in printed
    assert "evil\\x1b[2J.example" in printed


def test_domains_list_sends_the_key_as_a_bearer_and_nothing_else(operator: Operator) -> None:
    operator.run("domains", "list")

    (call,) = operator.ddactic.calls
    assert call.headers["authorization"].startswith("Bearer ")
    assert call.body == b""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"domains": [{**EXAMPLE, "id": 7}], "total": 1}, "domains[0].id: got 7; expected a text"),
        ({"domains": [EXAMPLE, {"id": "x"}], "total": 2}, "domains[1].name: got nothing; expected a text"),
        ({"domains": [{**EXAMPLE, "verified": "yes"}], "total": 1}, 'domains[0].verified: got "yes"; expected true'),
        ({"domains": [{**EXAMPLE, "last_scan": "soon"}], "total": 1}, 'domains[0].last_scan: got "soon"; expected'),
        ({"domains": {}, "total": 1}, "domains: got an object of 0; expected a list"),
        ({"domains": []}, "total: got nothing; expected a whole number"),
        ([], "the answer: got a list of 0; expected an object"),
    ],
)
def test_domains_list_of_an_answer_off_the_contract_names_call_field_and_what_came(
    operator: Operator, answer: object, error: str
) -> None:
    operator.ddactic.script(Fault(status=200, body=json.dumps(answer).encode()))

    said = operator.failed("domains", "list")

    assert said.startswith("ddactic GET /domains: ")
    assert error in said


def test_domains_add_gives_the_record_to_publish(operator: Operator) -> None:
    document = operator.document("domains", "add", "new.example")

    assert list(document) == ["domain", "dns"]
    assert_domain(document["domain"])
    assert document["dns"] is None
    assert document["domain"] == {
        "id": "dom_0002",
        "name": "new.example",
        "verified": None,
        "verification": {"method": "dns_txt", "record": "ddactic-verify=dom_0002xyz"},
        "last_scan": None,
        "risk_score": None,
        "raw": {
            "id": "dom_0002",
            "domain": "new.example",
            "verification": {"method": "dns_txt", "record": "ddactic-verify=dom_0002xyz"},
        },
    }
    assert operator.sent() == ["ddactic POST /domains"]
    assert operator.ddactic.calls[0].json == {"domain": "new.example"}
    assert "ddactic-verify=dom_0002xyz" in operator.run("domains", "add", "new.example").out


@pytest.mark.parametrize("name", ["", "two words", "a" * 254, "new\x00.example"])
def test_domains_add_of_what_is_no_name_sends_nothing(operator: Operator, name: str) -> None:
    operator.refused("domains", "add", name)


def test_domains_add_with_verification_and_without_securityspace_sends_nothing(operator: Operator) -> None:
    said = operator.refused("domains", "add", "new.example", "--verify-dns").err

    assert "securityspace is not configured" in said
