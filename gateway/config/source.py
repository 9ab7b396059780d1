"""A YAML text as plain data, with the line of everything in it. The one place that knows PyYAML.

The text is composed to nodes, and the nodes are walked here: lines are kept, repeated keys refused, `${NAME}` expanded,
scalars read by the YAML 1.2 core schema (`gateway.config.scalar`). Anchors, aliases and merge keys (`<<`) work; their
expansion is bounded, so that a small file cannot become a large configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from gateway.config.expansion import UnusableReference, expand
from gateway.config.problem import dotted
from gateway.config.scalar import Expanded, resolve_plain
from gateway.errors import ConfigError, ConfigProblem

Path = tuple[str | int, ...]

MAX_FILE_BYTES = 8 * 1024 * 1024  # thousands of sites, and well under the 16 MiB of a message to a worker
MAX_NODES = 200_000
MAX_DEPTH = 50  # the schema needs 8

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster; not in every build of PyYAML
_QUOTED = re.compile(r"'\S{2,}'|\"\S{2,}\"")
_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset(
    _CORE + name for name in ("null", "bool", "int", "float", "str", "timestamp", "value", "merge", "seq", "map")
)


class Source:
    """One text, read. `data` is what it holds; `problems` what is wrong with it as YAML, whatever the schema."""

    def __init__(self, name: str, text: str, is_read: Callable[[Path], bool] = lambda path: True) -> None:
        """name: for messages, usually the file's. is_read: False for keys that are left out, with all that is wrong
        with them. Raises ConfigError if it is not YAML at all."""
        self.name = name
        self._is_read = is_read
        self.problems: list[ConfigProblem] = []
        self._lines: dict[Path, int] = {(): 1}
        self._key_lines: dict[Path, int] = {}
        self._nodes_left = MAX_NODES
        node = self._compose(text)
        self.data: Any = None if node is None else self._read(node, (), ())

    def line(self, path: Path, *, of_key: bool = False) -> int:
        """The line (from 1) of a value or its key; of the nearest thing around it for what is not in the text."""
        if of_key and path in self._key_lines:
            return self._key_lines[path]
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            self._check_depth(text)
            node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
            return node
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._broken(line, f"a character that YAML does not allow (U+{_code(error.character):04X})") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            last = text.count("\n") + 1  # the end of an unfinished text is marked behind it
            line = min(mark.line + 1, last) if mark else 1
            raise self._broken(line, f"broken YAML: {_explain(error, text)}") from None
        except (yaml.YAMLError, ValueError):  # of the library's own reading: an escape beyond Unicode, for one
            raise self._broken(1, "text that is not YAML") from None

    def _check_depth(self, text: str) -> None:
        """PyYAML composes by recursion, in C: 100,000 brackets would end the process."""
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._broken(_line(event), f"something nested more than {MAX_DEPTH} deep")

    def _broken(self, line: int, got: str) -> ConfigError:
        return ConfigError.of([ConfigProblem(self.name, line, "", got, "one YAML document")])

    def _read(self, node: yaml.Node, path: Path, around: tuple[int, ...]) -> Any:
        """The value of a node. around: identities of the nodes that contain it, to find one that contains itself."""
        self._nodes_left -= 1
        if id(node) in around:
            raise self._stopped(node, path, "an alias of what contains it", "an alias of something else")
        if self._nodes_left < 0 or len(around) > MAX_DEPTH:
            expected = f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep"
            raise self._stopped(node, path, "too much, once aliases are replaced", expected)
        self._lines.setdefault(path, _line(node))
        if node.tag not in _CORE_TAGS:
            self._found(node, path, "a tag", "no tags (!name); quote a text that begins with !")
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, path)
        inside = (*around, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, index), inside) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._read_mapping(node, path, inside)

    def _read_scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if "${" in text:
            try:
                text = expand(text)
            except UnusableReference as error:
                self._found(node, path, error.got, error.expected)
        if node.style:
            return text
        return resolve_plain(text) if text == node.value else Expanded(text)

    def _read_mapping(self, node: yaml.MappingNode, path: Path, around: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._found(key_node, path, "a mapping or list as a key", "a name as a key")
                continue
            key = str(key_node.value)
            if key == "<<" and not key_node.style:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if not self._is_read((*path, key)):
                continue
            line = _line(key_node)
            if key in lines:
                self._found(key_node, (*path, key), "a repeated key", f"each key once (see line {lines[key]})")
                continue
            lines[key] = line
            self._key_lines.setdefault((*path, key), line)
            if not isinstance(value_node, yaml.ScalarNode):
                self._lines.setdefault((*path, key), line)  # of a section, the line that names it
            result[key] = self._read(value_node, (*path, key), around)
        for one in merged:
            below = self._read(one, path, around)
            if not isinstance(below, dict):
                self._found(one, path, "something else behind <<", "an alias of a mapping behind <<")
                continue
            result = {**below, **result}
        return result

    def _found(self, node: yaml.Node, path: Path, got: str, expected: str) -> None:
        self.problems.append(self._problem(node, path, got, expected))

    def _stopped(self, node: yaml.Node, path: Path, got: str, expected: str) -> ConfigError:
        return ConfigError.of([*self.problems, self._problem(node, path, got, expected)])

    def _problem(self, node: yaml.Node, path: Path, got: str, expected: str) -> ConfigProblem:
        return ConfigProblem(self.name, _line(node), dotted(path), got, expected)


def _line(part: yaml.Node | yaml.Event) -> int:
    """From 1."""
    return part.start_mark.line + 1 if part.start_mark else 1


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """What PyYAML says and what to do about it. Without quotations from the text: they may be of a secret."""
    said = _QUOTED.sub("...", ", ".join(part for part in (error.context, error.problem) if part))
    if "alias" in said or "cannot start any token" in said:
        return f"{said} (quote a value that begins with one of * & ! % @ `)"
    if "flow" in said and "${" in text:
        return f"{said} (inside [] and {{}} a ${{NAME}} needs quotes)"
    return said


def _code(character: object) -> int:
    return ord(character) if isinstance(character, str) else int(str(character))
