"""`webhooks`, `org` and `team`: the CyperSecurity account, its objects as they came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from posture.command.commands import CYPER_SECRET, WEBHOOKS, Operator
from posture.standin.server import Fault

SCAN_EVENTS = ["scan.started", "scan.completed", "scan.failed", "vulnerability.found", "critical.finding"]


@pytest.fixture
def operator(operator: Operator) -> Operator:
    """With a receiver."""
    operator.configure("cypersecurity", webhooks=WEBHOOKS)
    return operator


def sent(operator: Operator) -> Any:
    """The body of the last call."""
    return operator.cypersecurity.calls[-1].json


def test_webhook_is_created_for_our_receiver_with_the_configured_secret(operator: Operator) -> None:
    document = operator.document("webhooks", "create")

    assert sent(operator) == {
        "url": "https://hooks.example/webhooks/cypersecurity", "events": SCAN_EVENTS, "secret": CYPER_SECRET,
    }  # fmt: skip
    assert document == {
        "webhook": {
            "id": "webhook_0001",
            "url": "https://hooks.example/webhooks/cypersecurity",
            "events": SCAN_EVENTS,
            "created_at": "2024-12-31T12:00:00Z",
        }
    }


def test_webhook_has_the_url_and_the_events_that_were_typed(operator: Operator) -> None:
    operator.document(
        "webhooks", "create", "--url", "https://other.example/x", "--event", "trial.expiring",
        "--event", "scan.failed",
    )  # fmt: skip

    body = sent(operator)
    assert (body["url"], body["events"]) == ("https://other.example/x", ["trial.expiring", "scan.failed"])


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("tells_secrets", [True, False])
def test_webhooks_are_listed_as_they_came_without_secrets(
    operator: Operator, bare: bool, tells_secrets: bool
) -> None:
    operator.cypersecurity.bare, operator.cypersecurity.tells_secrets = bare, tells_secrets
    created = operator.document("webhooks", "create")["webhook"]

    assert "secret" not in created
    assert operator.document("webhooks", "list") == {"webhooks": [created]}
    assert "https://hooks.example/webhooks/cypersecurity" in operator.run("webhooks", "list").out


def test_secret_of_the_webhook_is_hidden_wherever_a_list_has_it(operator: Operator) -> None:
    echoed = [{"id": "w", "signing": CYPER_SECRET, "note": f"signed with {CYPER_SECRET}", CYPER_SECRET: 1}]
    operator.cypersecurity.script(Fault(status=200, body=json.dumps(echoed).encode()))

    document = operator.document("webhooks", "list")

    assert document == {"webhooks": [{"id": "w", "signing": "***", "note": "signed with ***", "***": 1}]}


@pytest.mark.parametrize(
    ("section", "arguments", "said"),
    [
        ({}, (), "has no posture.webhooks.cypersecurity.secret"),
        ({"webhooks": {"public_url": "https://hooks.example"}}, (), "has no posture.webhooks.cypersecurity.secret"),
        ({"webhooks": {"cypersecurity": {"secret": CYPER_SECRET}}}, (), "posture.webhooks.public_url"),
        ({"webhooks": WEBHOOKS}, ("--event", "scan.paused"), "scan.paused"),
        ({"webhooks": WEBHOOKS}, ("--url", "hooks.example"), "url"),
        ({"webhooks": WEBHOOKS}, ("--url", ""), "url"),
    ],
)
def test_webhook_that_cannot_be_created_is_exit_2_and_nothing_is_sent(
    operator: Operator, section: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    operator.configure("cypersecurity", **section)

    assert said in operator.refused("webhooks", "create", *arguments).err


def test_organization_is_shown_as_it_came(operator: Operator) -> None:
    organization = {"id": "org_1", "name": "Acme Security", "industry": "technology", "plan": "pro"}

    assert operator.document("org", "show") == {"organization": organization}
    assert "Acme Security" in operator.run("org", "show").out


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("--name", "Beta"), {"name": "Beta"}),
        (("--industry", "retail trade"), {"industry": "retail trade"}),
        (("--name", "Beta", "--industry", "retail"), {"name": "Beta", "industry": "retail"}),
    ],
)
@pytest.mark.parametrize("silent", [False, True])
def test_organization_is_sent_only_what_was_typed(
    operator: Operator, arguments: tuple[str, ...], body: dict[str, str], silent: bool
) -> None:
    operator.cypersecurity.silent = silent

    document = operator.document("org", "update", *arguments)

    assert operator.sent() == ["cypersecurity PATCH /organization"]
    assert sent(operator) == body
    assert list(document) == ["organization"]
    assert document["organization"].items() >= body.items()


@pytest.mark.parametrize("bare", [True, False])
def test_team_is_listed_as_it_came(operator: Operator, bare: bool) -> None:
    operator.cypersecurity.bare = bare

    members = [{"id": "user_1", "email": "owner@example.com", "role": "owner"}]
    assert operator.document("team", "list") == {"members": members}
    assert "owner@example.com" in operator.run("team", "list").out


@pytest.mark.parametrize(("options", "role"), [((), "member"), (("--role", "admin"), "admin")])
@pytest.mark.parametrize("silent", [False, True])
def test_member_is_invited_with_a_role(
    operator: Operator, options: tuple[str, ...], role: str, silent: bool
) -> None:
    operator.cypersecurity.silent = silent

    document = operator.document("team", "invite", "new@example.com", *options)

    assert sent(operator) == {"email": "new@example.com", "role": role}
    assert list(document) == ["member"]
    assert document["member"].items() >= {"email": "new@example.com", "role": role}.items()


def test_object_that_is_none_is_off_the_contract(operator: Operator) -> None:
    operator.cypersecurity.script(Fault(status=200, body=b'{"webhooks": ["w"]}'))
    assert operator.failed("webhooks", "list").startswith("cypersecurity GET /webhooks: webhooks[0]: got ")

    operator.cypersecurity.script(Fault(status=200, body=b"[]"))
    assert operator.failed("org", "show").startswith("cypersecurity GET /organization: the answer: got a list of 0")
