"""A part of a configuration, read without the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.access import EngineAccess, EngineKeys, StoreAccess, StoreKeys
from gateway.config.engine import Engine
from gateway.config.models import Config
from gateway.config.reading import load_section
from gateway.config.section import Section, is_read
from gateway.errors import ConfigError

EMERGENCY = """\
x-unknown: ${UNSET_ONE}
<<: &shared {drain_timeout: "${UNSET_TWO}"}
sites: [{origin: {servers: ["${UNSET_THREE}"]}}]
protection: {key_file: /nowhere/key}
admin: {address: "127.0.0.1:9191", token: t0ken}
engine:
  policy: /nowhere/policy.yaml
  session: {secrets: ["${UNSET_FOUR}", "${UNSET_FOUR}"]}
  session: twice
  keys: ["${ENGINE_KEY}"]
  store: {url: "valkey://:${STORE_PASSWORD}@127.0.0.1:6379", prefix: shop}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(EMERGENCY)
    return path


def test_excerpt_is_read_whatever_is_wrong_elsewhere(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", "a-key")
    monkeypatch.setenv("STORE_PASSWORD", "secret")

    access = load_section(file, EngineAccess)
    assert (access.admin.address, [key.get_secret_value() for key in access.engine.keys]) == (
        "127.0.0.1:9191", ["a-key"],
    )  # fmt: skip
    store = load_section(file, StoreAccess).engine.store
    assert (store.url.get_secret_value(), store.prefix) == ("valkey://:secret@127.0.0.1:6379", "shop")


@pytest.mark.parametrize(
    ("model", "line", "key", "variable"),
    [(EngineAccess, 10, "engine.keys[0]", "ENGINE_KEY"), (StoreAccess, 11, "engine.store.url", "STORE_PASSWORD")],
)
def test_variable_that_the_excerpt_needs_is_named_with_its_key(
    file: Path, model: type[EngineAccess] | type[StoreAccess], line: int, key: str, variable: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_section(file, model)
    assert str(caught.value) == (
        f"{file}:{line}: {key}: got ${{{variable}}}, which is not set; "
        f"expected the environment variable to be set, or a default: ${{{variable}:-default}}"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("engine: {store: {ulr: memory}}", "1: engine.store.ulr: got an unknown key; expected a known one: "),
        ("engine: [1]", "1: engine: got a list; expected a mapping of keys"),
        ("- 1", "1: got a list; expected a mapping of keys"),
        ("engine: [", "1: got broken YAML"),
    ],
)
def test_what_is_wrong_in_the_excerpt_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_section(file, StoreAccess)
    assert str(caught.value).startswith(f"{file}:{complaint}")


def test_excerpts_keys_are_those_of_the_configuration() -> None:
    whole = {**Config.model_fields, **Engine.model_fields}
    for model in (StoreKeys, EngineKeys):
        for key, field in model.model_fields.items():
            assert field.annotation == whole[key].annotation
            assert field.default == whole[key].default
    assert EngineAccess.model_fields["admin"].annotation is Config.model_fields["admin"].annotation


@pytest.mark.parametrize(
    ("model", "path", "expected"),
    [
        (Config, ("sites", 3, "origin", "servers", 0), True),
        (Config, ("sites", 3, "origin", "unknown"), True),  # read, and refused
        (Config, ("unknown", "unknown"), True),
        (EngineAccess, (), True),
        (EngineAccess, ("sites",), False),
        (EngineAccess, ("sites", 3, "origin"), False),
        (EngineAccess, ("engine", "session", "secrets", 0), False),
        (EngineAccess, ("engine", "keys", 0), True),
        (EngineAccess, ("engine", "listen", "unknown"), True),
    ],
)
def test_excerpt_leaves_out_what_it_has_no_key_for(
    model: type[Section], path: tuple[str | int, ...], expected: bool
) -> None:
    assert is_read(model, path) is expected
