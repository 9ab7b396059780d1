"""The field table against the contract's counts and a sample of its rows."""

from __future__ import annotations

from gateway.config.fields import FIELD_BY_NAME, FIELDS, Field


def test_fields_names_are_unique():
    assert len(FIELD_BY_NAME) == len(FIELDS) == 71


def test_fields_always_sent_come_first_in_the_contract_order():
    assert [row.field for row in FIELDS if row.always] == [
        "Key",
        "IP",
        "RequestModuleName",
        "ModuleVersion",
        "Port",
        "Protocol",
        "Method",
        "TimeRequest",
        "APIConnectionState",
        "AuthorizationLen",
        "CookiesLen",
        "PostParamLen",
        "ServerName",
        "ServerHostname",
        "Host",
        "Request",
        "HeadersList",
    ]


def test_fields_rows_are_those_of_the_contract():
    assert FIELD_BY_NAME["ClientID"] == Field(
        "ClientID", "x-datadome-clientid, else cookie datadome", 512, "start", False, "string"
    )
    assert FIELD_BY_NAME["SignatureInput"].limit_bytes == 2048
    assert [row.field for row in FIELDS if row.keep == "end"] == ["XForwardedForIP"]
    assert [row.field for row in FIELDS if row.type == "number"] == ["customFieldFloat1"]
    assert [row.field for row in FIELDS if row.type == "integer"] == [
        "Port",
        "TimeRequest",
        "AuthorizationLen",
        "CookiesLen",
        "PostParamLen",
        "customFieldInteger1",
        "customFieldInteger2",
    ]
