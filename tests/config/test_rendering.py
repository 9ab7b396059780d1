"""`gateway show`: the effective configuration as YAML."""

from __future__ import annotations

import pytest

from gateway.config import parse_config, render_yaml
from gateway.config.loading import parse_text

TRICKY = {
    "server_name": "1e3",
    "sites": [
        {"name": "off", "hosts": ["a"]},
        {"name": "1:30", "hosts": ["b"]},
        {"name": "0o17", "hosts": ["c"]},
        {"name": "x${LITERAL}", "hosts": ["d"]},
        {"name": "- a: #b", "hosts": ["e"]},
    ],
    "protection": {
        "mode": "off",
        "exclude": ["a: b #c", "^\\${x}$", "é"],
        "key": "k-secret",
        "custom_fields": {"customFieldString1": "12", "customFieldString2": "null", "customFieldFloat1": 1.0},
    },
    "admin": {"token": "t-secret"},
}


@pytest.mark.parametrize("mapping", [{}, TRICKY])
def test_rendered_is_loaded_to_the_same_dump(mapping):
    config = parse_config(mapping)
    text = render_yaml(config)
    again = parse_text(text, "shown.yaml")
    assert again.dump() == config.dump()


def test_rendered_shows_defaults_and_no_secret():
    text = render_yaml(parse_config(TRICKY))
    assert "timeout: 150ms\n" in text
    assert "key: '***'\n" in text
    assert "mode: 'off'\n" in text
    assert "-secret" not in text
    assert text.startswith("listeners:\n")
    assert "&id" not in text
