"""What pydantic found, as problems of the configuration: where it stands, what was got and what is accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from gateway.config.secret import REDACTED, SECRET_KEYS
from gateway.config.section import sections_of
from gateway.config.value import Finding, nearest
from gateway.errors import ConfigProblem

Path = tuple[str | int, ...]
Locate = Callable[[Path, bool], int | None]

_SHOWN_BYTES = 100
_UNKNOWN = object()
_MISSING = object()
_USER_INFO = re.compile(r"//[^/@]*@")
_PLAIN = {
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "invalid_key": "a name as a key",
}


def found_by_schema(
    error: ValidationError, model: type[BaseModel], data: Any, file: str, locate: Locate
) -> list[ConfigProblem]:
    """One problem for each value that was rejected.

    data: what was validated; locate: (path, of_key) -> line from 1, None where there are none. A site's section holds
    the global protection section too: what is wrong in that is reported once, where it stands.
    """
    findings = [finding for detail in error.errors(include_url=False) for finding in _findings(detail, model)]
    known = {(finding.keys, finding.expected) for finding in findings}
    return [
        ConfigProblem(file, locate(keys, value is _UNKNOWN), dotted(keys), shown(keys, value), expected)
        for keys, value, expected in findings
        if not ((keys[2:], expected) in known and _is_inherited(keys, data))
    ]


def dotted(path: Path) -> str:
    """`sites[0].origin.servers[1]`; at most 200 characters."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return (text if text.isprintable() else ascii(text)[1:-1])[:200]


def shown(path: Path, value: object) -> str:
    """A value for a message: at most 100 bytes, and `***` where it is a secret or could be part of one."""
    if value is _UNKNOWN:
        return "an unknown key"
    if value is _MISSING:
        return "nothing"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, SecretStr) or any(part in SECRET_KEYS for part in path):
        return REDACTED
    if path and path[-1] == "store" and isinstance(value, str):
        return repr(_scheme(value) + REDACTED)[:_SHOWN_BYTES]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    text = repr(_USER_INFO.sub(f"//{REDACTED}@", str(value))) if isinstance(value, str) else str(value)
    raw = text.encode("ascii", "backslashreplace")
    return text if len(raw) <= _SHOWN_BYTES else raw[: _SHOWN_BYTES - 3].decode() + "..."


def _scheme(store: str) -> str:
    """Of the URL of a store: in one that cannot be read, anything behind it may be the password."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+]{0,30}:(?://)?", store)
    return found[0] if found else ""


def _findings(detail: Any, model: type[BaseModel]) -> Iterator[Finding]:
    path, context = detail["loc"], detail.get("ctx", {})
    match detail["type"]:
        case "problems":
            for keys, value, expected in context["findings"]:
                yield Finding((*path, *keys), value, expected)
        case "expected":
            yield Finding(path, detail["input"], context["expected"])
        case "extra_forbidden":
            known = tuple(_section_at(model, path[:-1]).model_fields)
            yield Finding(path, _UNKNOWN, f"a known one: {nearest(str(path[-1]), known)}")
        case "missing":
            field = _section_at(model, path[:-1]).model_fields[str(path[-1])]
            yield Finding(path, _MISSING, f"a value: {field.description}")
        case kind:
            yield Finding(path, detail["input"], _PLAIN.get(kind, detail["msg"]))


def _is_inherited(path: Path, data: Any) -> bool:
    """True of `sites[i].protection...` that the site does not say itself."""
    if len(path) < 4 or path[0] != "sites" or path[2] != "protection":
        return False
    value = data
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return True
    return False


def _section_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The section that a path leads to."""
    for part in path:
        if isinstance(part, str):
            model = next(sections_of(model.model_fields[part].annotation))
    return model
