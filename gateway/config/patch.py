"""Patches: what the engine does over its policy for a while, because somebody found something (`posture.actions`).

A JSON file that a program writes and engines read. Read strictly, and without `${NAME}`: titles and paths in it come
from others, and must not reach into the environment.
"""

from __future__ import annotations

import os
import re
import stat
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

import orjson
from pydantic import PlainValidator, ValidationError, WithJsonSchema, model_validator

from gateway.config.problem import found_by_schema
from gateway.config.section import Section, required, setting
from gateway.config.value import Finding, Flag, HostPattern, OneOf, rejected, report
from gateway.errors import ConfigError, ConfigProblem

MAX_PATCHES = 200  # a site with more to block than that wants a rule, or to be closed
MAX_PATHS = 50
MAX_PATH_CHARACTERS = 1024
MAX_FILE_BYTES = 16 * 1024 * 1024

_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_TAIL = re.compile("[;?#\0].*", re.DOTALL)
_INVISIBLE = " \t\r\n\v\f"
_UNTIL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def _file_name(value: object) -> str:
    if not isinstance(value, str) or not value or value.endswith("/") or not value.isprintable():
        raise rejected("the name of a file, which may come later")
    return str(value)


def _word(value: object) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise rejected("a name of lower-case letters, digits, - and _ (at most 48)")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 300 or not value.isprintable():
        raise rejected("a text of at most 300 printable characters")
    return value


def _path(value: object) -> str:
    if (
        not isinstance(value, str) or not value.startswith("/") or len(value) > MAX_PATH_CHARACTERS
        or not value.isprintable()
    ):  # fmt: skip
        raise rejected(f"a path that begins with /, of at most {MAX_PATH_CHARACTERS} printable characters")
    return clear_path(value)


def clear_path(value: str) -> str:
    """The path; rejected if the engine would take it for none (one that leads upwards when it is decoded again) or for
    `/` though it is written otherwise: nobody blocks everything by chance."""
    parts: list[str] = []
    for part in re.split(r"[/\\]", unquote(value)):
        part = part.partition(";")[0]
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    deeper = "/".join(parts)
    for _ in range(3):
        deeper = unquote(deeper)
    left = [_TAIL.sub("", part).strip(_INVISIBLE) for part in re.split(r"[/\\]", deeper)]
    if ".." in left or (value != "/" and not any(part.rstrip("." + _INVISIBLE) for part in left)):
        raise rejected("a path that names something, however often it is decoded; / for everything")
    return value


def _until(value: object) -> str:
    if isinstance(value, str) and _UNTIL.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return value
    raise rejected("a time such as 2026-11-21T12:00:00Z")


PatchFileName = Annotated[str, PlainValidator(_file_name), WithJsonSchema({"type": "string"})]
PatchName = Annotated[str, PlainValidator(_word), WithJsonSchema({"type": "string"})]
PatchPreset = Annotated[Literal["permissive", "moderate", "aggressive"], OneOf()]
PatchDeed = Annotated[Literal["block_path", "raise_preset"], OneOf()]
_Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
_Path = Annotated[str, PlainValidator(_path), WithJsonSchema({"type": "string"})]
_Until = Annotated[str, PlainValidator(_until), WithJsonSchema({"type": "string"})]


class PatchedFinding(Section):
    """Why a patch is there."""

    fingerprint: _Text = required("The same for the same finding in every scan.")
    provider: _Text = required("Who found it.")
    id: _Text = required("Its id there.")
    title: _Text = required("What was found.")


class Patch(Section):
    """One patch. In force until its time is over, whoever wrote it."""

    name: PatchName = required("Of the rule that asked for it; decisions have the name patch-NAME.")
    finding: PatchedFinding = required("Why it is there.")
    host: HostPattern = required("The one host that it is for.")
    do: PatchDeed = required("block_path: nobody reaches the paths; raise_preset: another preset for the host.")
    paths: tuple[_Path, ...] = setting([], "Of block_path: each with everything under it.")
    preset: PatchPreset | None = setting(None, "Of raise_preset: in the place of the host's, unless that is stricter.")
    until: _Until = required("When it ends by itself, in UTC: 2026-11-21T12:00:00Z.")
    dry_run: Flag = setting(False, "Only counted and logged.")

    @property
    def until_s(self) -> float:
        """Unix seconds."""
        return datetime.fromisoformat(self.until).timestamp()

    @property
    def key(self) -> tuple[str, str, str]:
        """Which patch it is, whatever is changed about it."""
        return self.name, self.finding.fingerprint, self.host

    @model_validator(mode="after")
    def _check(self) -> Self:
        found = []
        blocks = self.do == "block_path"
        if self.host.startswith("*"):
            found.append(Finding(("host",), self.host, "one host name, without *"))
        if blocks is not bool(self.paths) or len(self.paths) > MAX_PATHS:
            expected = f"1 to {MAX_PATHS} paths" if blocks else f"nothing, since it does {self.do}"
            found.append(Finding(("paths",), self.paths, expected))
        if blocks is not (self.preset is None):
            expected = f"null, since it does {self.do}" if blocks else "a preset"
            found.append(Finding(("preset",), self.preset, expected))
        report(found)
        return self


class PatchFile(Section):
    """The whole file."""

    patches: tuple[Patch, ...] = required("In order.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.patches) > MAX_PATCHES:
            report([Finding(("patches",), len(self.patches), f"at most {MAX_PATCHES}")])
        return self


def read_patches(path: str | os.PathLike[str]) -> tuple[Patch, ...]:
    """The patches of a file; none of one that is not there. Raises ConfigError for anything that `patch_document` did
    not write."""
    name = os.fspath(path)
    try:
        raw = _bytes_of(path)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{name}: got over {MAX_FILE_BYTES} bytes; expected at most that many")
    return parse_patches(raw, name)


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    """Of a regular file alone: a pipe in its place would be waited for without end."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        return file.read(MAX_FILE_BYTES + 1)


def parse_patches(raw: bytes, name: str) -> tuple[Patch, ...]:
    """The patches of a file's bytes. Raises ConfigError with one line for each problem; name: the file's."""
    try:
        document: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ConfigError.of([ConfigProblem(name, None, "", "no JSON", "a mapping with patches")]) from None
    try:
        return PatchFile.model_validate(document).patches
    except ValidationError as error:
        raise ConfigError.of(found_by_schema(error, PatchFile, document, name, lambda path, of_key: None)) from None


def patch_document(patches: tuple[Patch, ...]) -> bytes:
    """The file's bytes: `parse_patches` reads the same patches from them."""
    document = {"patches": [patch.model_dump(mode="json") for patch in patches]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
