"""`${NAME}` and `${NAME:-default}`: values from the environment."""

from __future__ import annotations

import os
import re

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^{}$]*)?\})?")


def expand(text: str) -> str:
    """Replace every reference; `$${` stands for a literal `${`.

    As in a shell, the default of `${NAME:-default}` also replaces an empty variable. What comes out stays as it is.
    Raises ValueError that names the variable, never its value.
    """
    return _REFERENCE.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    if match[0] == "$${":
        return "${"
    name, default = match[1], match[2]
    if name is None:
        raise ValueError("${NAME} or ${NAME:-default}; $${ for a literal ${")
    value = os.environ.get(name)
    if default is not None:
        return value or default[2:]
    if value is None:
        raise ValueError(f"the environment variable {name} to be set, or a default: ${{{name}:-default}}")
    return value
