"""`${NAME}` and `${NAME:-default}`: values from the environment."""

from __future__ import annotations

import os
import re


class UnusableReference(ValueError):
    """A reference that cannot be replaced. got, expected: for the message; they never hold a value."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"got {got}; expected {expected}")
        self.got = got
        self.expected = expected


_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^{}$]*)?\})?")


def expand(text: str) -> str:
    """Replace every reference; `$${` stands for a literal `${`.

    As in a shell, the default of `${NAME:-default}` also replaces an empty variable. What comes out stays as it is.
    Raises UnusableReference for a variable that is not set, and for a `${` that begins no reference.
    """
    return _REFERENCE.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    if match[0] == "$${":
        return "${"
    name, default = match[1], match[2]
    if name is None:
        raise UnusableReference("a broken reference", "${NAME} or ${NAME:-default}; $${ for a literal ${")
    value = os.environ.get(name)
    if default is not None:
        return value or default[2:]
    if value is None:
        expected = f"the environment variable to be set, or a default: ${{{name}:-default}}"
        raise UnusableReference(f"${{{name}}}, which is not set", expected)
    return value
