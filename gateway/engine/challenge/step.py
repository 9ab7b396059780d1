"""The waiting step's way through the address bar: `/path?a=1` -> `/path?__step=TOKEN&a=1` and back.

Targets are raw (path and query, nothing decoded), and come back byte for byte; `/path?` keeps its question mark.
"""

from __future__ import annotations

from urllib.parse import quote

PARAMETER = "__step="
MAX_TARGET_BYTES = 2048  # the contract's limit of Request: a longer one may have been cut, and would lead elsewhere


def step_query(target: str, step: str) -> str:
    """`?__step=...` and the target's query behind it: relative to any address with the target's path. "" if there is no
    step, or the target would be cut on its way back."""
    path, mark, query = target.partition("?")
    relative = f"?{PARAMETER}{step}{'&' if mark else ''}{query}"
    if not step or len(f"{path}{relative}".encode("utf-8", "replace")) >= MAX_TARGET_BYTES:
        return ""
    return relative


def take_step(target: str) -> tuple[str, str] | None:
    """(step, the target as it was without it); None if the query does not begin with a step."""
    path, _, query = target.partition("?")
    if not query.startswith(PARAMETER):
        return None
    step, mark, rest = query[len(PARAMETER) :].partition("&")
    return step, f"{path}?{rest}" if mark else path


def local_location(target: str) -> str:
    """A Location for this target, in printable ASCII, that no client takes for another host's: `//evil.example` is a
    host to all of them, and to browsers so is `\\evil.example`, whatever tabs and line ends stand between (WHATWG URL
    4.4)."""
    path, mark, query = target.partition("?")
    path = quote(path, _KEPT, errors="replace")
    if not path.startswith("/"):
        path = f"/{path}"
    return f"{'/.' if path.startswith('//') else ''}{path}{mark}{quote(query, _QUERY_KEPT, errors='replace')}"


_KEPT = "!\"$%&'()*+,/:;<=>?@[]^`{|}~"  # what a request's target may hold besides letters and digits; `#` would end it
_QUERY_KEPT = _KEPT + "\\"
