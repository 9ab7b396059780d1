"""The file of patches: read strictly, and nothing in it is expanded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posture.patches import patch

from gateway.config import parse_config
from gateway.config.patch import MAX_PATCHES, Patch, clear_path, parse_patches, patch_document, read_patches
from gateway.engine.path import folded, normalised
from gateway.errors import ConfigError

WRITTEN = patch().model_dump(mode="json")


def problem_of(**fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_patches(orjson.dumps({"patches": [{**WRITTEN, **fields}]}), "patches.json")
    return str(caught.value)


def test_file_that_is_not_there_has_no_patches(tmp_path: Path) -> None:
    assert read_patches(tmp_path / "nothing" / "patches.json") == ()


def test_patches_are_read_as_they_were_written(tmp_path: Path) -> None:
    patches = patch(), patch(name="raise", do="raise_preset", dry_run=True)
    (tmp_path / "patches.json").write_bytes(patch_document(patches))

    assert read_patches(tmp_path / "patches.json") == patches


def test_reference_to_the_environment_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "revealed")
    one = patch(paths=("/${SECRET}", "/${UNSET}"))

    assert parse_patches(patch_document((one,)), "patches.json") == (one,)


def test_until_is_in_seconds() -> None:
    assert patch(until="1970-01-02T00:00:01Z").until_s == 86_401.0


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"patches: []", b'{"patches": [}'])
def test_file_that_is_no_json_is_an_error(raw: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^patches\.json: got no JSON; expected a mapping with patches"):
        parse_patches(raw, "patches.json")


@pytest.mark.parametrize("raw", [b"[]", b"3", b"null", b"{}", b'{"patches": {}}', b'{"patches": [], "more": 1}'])
def test_document_of_another_shape_is_an_error(raw: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^patches\.json"):
        parse_patches(raw, "patches.json")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "Close"}, "patches[0].name: got 'Close'; expected a name of lower-case letters"),
        ({"host": "*.shop.example"}, "patches[0].host: got '*.shop.example'; expected one host name, without *"),
        ({"host": "shop.example:80"}, "patches[0].host: got 'shop.example:80'; expected a host name"),
        ({"do": "block"}, "patches[0].do: got 'block'; expected one of block_path, raise_preset"),
        ({"paths": []}, "patches[0].paths: got an empty list; expected 1 to 50 paths"),
        ({"paths": ["/a"] * 51}, "patches[0].paths: got a list; expected 1 to 50 paths"),
        ({"paths": ["admin"]}, "patches[0].paths[0]: got 'admin'; expected a path that begins with /"),
        ({"paths": ["/a\n"]}, "patches[0].paths[0]: got '/a\\n'; expected a path that begins with /"),
        ({"preset": "aggressive"}, "patches[0].preset: got 'aggressive'; expected null, since it does block_path"),
        ({"do": "raise_preset", "paths": []}, "patches[0].preset: got null; expected a preset"),
        (
            {"do": "raise_preset", "preset": "moderate"},
            "patches[0].paths: got a list; expected nothing, since it does raise_preset",
        ),
        ({"do": "raise_preset", "preset": "none"}, "patches[0].preset: got 'none'; expected one of permissive"),
        ({"until": "2026-11-21"}, "patches[0].until: got '2026-11-21'; expected a time such as"),
        ({"until": "2026-13-21T00:00:00Z"}, "patches[0].until: got '2026-13-21T00:00:00Z'; expected a time such as"),
        ({"until": None}, "patches[0].until: got null; expected a time such as"),
        ({"dry_run": 1}, "patches[0].dry_run: got 1; expected true or false"),
        ({"more": 1}, "patches[0].more: got an unknown key"),
        ({"finding": None}, "patches[0].finding.fingerprint: got nothing"),
    ],
)
def test_value_that_cannot_be_used_is_named(fields: dict[str, Any], expected: str) -> None:
    assert expected in problem_of(**fields)


def test_patches_beyond_the_limit_are_an_error() -> None:
    patches: tuple[Patch, ...] = (patch(),) * (MAX_PATCHES + 1)

    with pytest.raises(ConfigError, match=f"patches: got {MAX_PATCHES + 1}; expected at most {MAX_PATCHES}"):
        parse_patches(patch_document(patches), "patches.json")


def test_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_patches(tmp_path)


# -- the keys of the configuration


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"posture": {"actions": {"rules": list(given)}}}


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"engine": {"patches": ""}}, "engine.patches: got ''; expected the name of a file, which may come later"),
        ({"engine": {"patches": "folder/"}}, "engine.patches: got 'folder/'; expected the name of a file"),
        ({"posture": {"actions": {"file": 3}}}, "posture.actions.file: got 3; expected the name of a file"),
        (rules({"name": "a", "do": "raise_preset", "paths": ["/x"]}), "expected nothing, since it does raise_preset"),
        (rules({"name": "a", "do": "block_path", "paths": ["/x"] * 51}), "paths: got 51; expected at most 50"),
        (rules({"name": "a", "do": "block_path", "paths": ["x"]}), "paths[0]: got 'x'; expected a path in ASCII"),
        (
            rules({"name": "a", "do": "block_path"}, {"name": "a", "do": "block_path"}),
            "posture.actions.rules[1].name: got 'a'; expected a name that no other rule has",
        ),
        (
            rules({"name": "a", "do": "block_path", "match": {"titles": ["("]}}),
            "match.titles[0]: got '('; expected a regular expression",
        ),
        (
            rules({"name": "a", "do": "block_path", "match": {"hosts": ["*.shop.example"]}}),
            "match.hosts[0]: got '*.shop.example'; expected a host name or an address",
        ),
    ],
)
def test_key_that_cannot_be_used_is_named(mapping: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(mapping)
    assert expected in str(caught.value)


def test_actions_survive_a_dump() -> None:
    config = parse_config({
        "engine": {"patches": "later.json"},
        **rules(
            {"name": "a", "do": "block_path", "match": {"titles": ["(?i)sql"], "hosts": ["[2001:DB8::1]"]}},
            {"name": "b", "do": "raise_preset", "preset": "moderate", "expires": "90m"},
        ),
    })  # fmt: skip

    assert parse_config(config.dump(reveal_secrets=True)) == config
    assert config.posture.actions.rules[0].match.hosts == ("[2001:db8::1]",)


CLOSING = ["/%252e%252e", "/a/%252e%252e/b", "/x%252f..%252f..", "/%252f", "/%3b", "/%2e", "/..", "/%252E%252e%255cx"]


@pytest.mark.parametrize("path", CLOSING)
def test_path_that_would_close_the_host_is_refused_in_the_file_and_in_the_configuration(path: str) -> None:
    rule = {"name": "close", "do": "block_path", "paths": [path]}

    assert "a path that names something, however often it is decoded; / for everything" in problem_of(paths=[path])
    with pytest.raises(ConfigError, match="a path that names something"):
        parse_config({"posture": {"actions": {"rules": [rule]}}})


SPELLINGS = ["/", ".", "%25", "25", "2e", "%2e", "2f", "\\", "%5c", ";", "a", "%3b", "%20", "%00", ":"]


@given(st.lists(st.sampled_from(SPELLINGS), max_size=12))
def test_path_is_refused_where_the_engine_takes_it_for_none_or_for_everything(spelled: list[str]) -> None:
    path = "/" + "".join(spelled)
    is_clear = path == "/" or folded(normalised(path)) not in ("", "/")

    try:
        assert clear_path(path) == path
    except ValueError:
        assert not is_clear
    else:
        assert is_clear


def test_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "patches.json"
    os.mkfifo(pipe)

    with pytest.raises(ConfigError, match=r"patches\.json: cannot be read: it is no regular file"):
        read_patches(pipe)
