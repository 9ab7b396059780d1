"""JSON Schema and settings table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.config import json_schema, settings_table
from gateway.config.loading import parse_text


def properties_of(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(section.key, property, whether it is required) of every section."""
    for title, section in [("Config", schema), *schema["$defs"].items()]:
        for name, value in section.get("properties", {}).items():
            yield f"{title}.{name}", value, name in section.get("required", ())


def test_schema_every_key_has_a_description_and_a_default():
    lacking = [
        key
        for key, value, required in properties_of(json_schema())
        if not value.get("description") or ("default" in value) == required
    ]
    assert lacking == []


def test_schema_unknown_keys_are_refused_everywhere():
    schema = json_schema()
    sections = [schema, *(section for name, section in schema["$defs"].items() if name != "Reference")]
    assert all(section["additionalProperties"] is False for section in sections)


def test_schema_is_plain_json_in_draft_2020_12():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"])[:4] == ["listeners", "workers", "server_name", "drain_timeout"]


def test_schema_of_a_duration_has_its_form_or_a_reference():
    timeout = json_schema()["$defs"]["Protection"]["properties"]["timeout"]
    assert timeout["default"] == "150ms"
    assert timeout["anyOf"] == [
        {"pattern": "^[0-9]{1,12}(\\.[0-9]{1,9})?(ms|s|m|h)$", "type": "string"},
        {"$ref": "#/$defs/Reference"},
    ]


def test_schema_of_the_key_shows_where_it_comes_from():
    key = json_schema()["$defs"]["Protection"]["properties"]["key"]
    assert key["default"] == "${PROTECTION_API_KEY:-embedded}"


def test_settings_table_has_every_key_once_with_its_meaning():
    table = settings_table()
    keys = [key for key, _, _ in table]
    assert len(keys) == len(set(keys))
    assert all(default and meaning for _, default, meaning in table)
    assert ("protection.timeout", "150ms") in [row[:2] for row in table]
    assert ("sites[].protection", "{}") in [row[:2] for row in table]
    assert ("sites[].origin.health.active.interval", "5s") in [row[:2] for row in table]
    assert ("listeners[].tls.certificate", "required") in [row[:2] for row in table]
    assert ("protection.key", "${PROTECTION_API_KEY:-embedded}") in [row[:2] for row in table]
    assert "protection" not in keys
    assert "sites[].protection.timeout" not in keys


OPTIONAL_PARTS_OF_POSTURE = (
    "providers.ddactic.", "providers.cypersecurity.", "providers.securityspace.", "providers.embedded.targets.",
    "webhooks.", "notify.", "actions.rules[].",
)  # fmt: skip
"""Sections that are not there unless they are written."""


def test_settings_table_defaults_are_the_defaults(monkeypatch):
    """Written into a file, key by key, the table's defaults are accepted and change nothing."""
    monkeypatch.delenv("PROTECTION_API_KEY", raising=False)
    for key, default, _ in settings_table():
        optional = ("tls.", "active.", "listen.", *(f"posture.{part}" for part in OPTIONAL_PARTS_OF_POSTURE))
        if default == "required" or any(part in key for part in optional if not key.startswith("sites[].origin.tls")):
            continue
        text = f"'{default}'" if default == "1.2" else default
        for part in reversed(key.split(".")):
            text = f"{part.removesuffix('[]')}:\n" + "\n".join(
                ("- " if index == 0 and part.endswith("[]") else "  ") + line
                for index, line in enumerate(text.split("\n"))
            )
        assert parse_text(text, key) == parse_text("", key), text
