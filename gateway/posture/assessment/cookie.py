"""Cookies that others can read, steal or send along. Pure. Source: RFC 6265bis, 5.6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.posture.assessment.verdict import Verdict, found, ok
from gateway.posture.assessment.wording import clean

_LOOKED_AT = 1000
_SHOWN = 20
_SESSION = re.compile(r"sess|auth|token|jwt|login|remember|identity|(?:^|[._-])s?sid$|^connect\.sid", re.IGNORECASE)
_READ_BY_SCRIPTS = re.compile(r"csrf|xsrf", re.IGNORECASE)
_FOR_SCRIPTS = frozenset({"datadome"})
"""The protection's own cookie, whose proof the challenge page's script writes: by contract it is not HttpOnly."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """A cookie and the attributes that it lacks. holds_session: by its name it stands for somebody's session."""

    name: str
    lacks: tuple[str, ...]
    holds_session: bool

    @property
    def is_serious(self) -> bool:
        """A session that a script or a listener can take."""
        return self.holds_session and bool({"Secure", "HttpOnly"} & set(self.lacks))


def judge_cookies(lines: Sequence[str], *, tls: bool) -> Verdict:
    """Of Set-Cookie values: low, and medium if a cookie that by its name holds a session lacks Secure (over https) or
    HttpOnly. The first 1000 are looked at, and 20 named."""
    judged = filter(None, (_weakness(line, tls=tls) for line in lines[:_LOOKED_AT]))
    weak = sorted({one.name: one for one in judged}.values(), key=lambda one: not one.is_serious)
    if not weak:
        return ok(cookies=len(lines))
    named = "; ".join(f"{one.name} lacks {', '.join(one.lacks)}" for one in weak[:_SHOWN])
    more = f"; and {len(weak) - _SHOWN} more" if len(weak) > _SHOWN else ""
    return found(
        f"of {len(lines)} cookies: {named}{more}", severity="medium" if weak[0].is_serious else "low",
        cookies=len(lines), weak=[_as_json(one) for one in weak[:_SHOWN]],
    )  # fmt: skip


def _weakness(line: str, *, tls: bool) -> Weakness | None:
    """None for a cookie that lacks nothing, and for one that is being deleted."""
    pair, *attributes = line[:4096].split(";")
    name = clean(pair.partition("=")[0], 60)
    given = {key.strip().lower(): value.strip().lower() for key, _, value in (one.partition("=") for one in attributes)}
    if given.get("max-age", "").startswith(("0", "-")) or "1970" in given.get("expires", ""):
        return None
    needed = {"Secure": tls, "HttpOnly": name.lower() not in _FOR_SCRIPTS, "SameSite": True}
    lacks = tuple(word for word, is_needed in needed.items() if is_needed and not _has(given, word))
    holds_session = bool(_SESSION.search(name)) and not _READ_BY_SCRIPTS.search(name)
    return Weakness(name, lacks, holds_session) if lacks else None


def _has(given: dict[str, str], attribute: str) -> bool:
    if attribute == "SameSite":
        return given.get("samesite") in ("strict", "lax", "none")
    return attribute.lower() in given


def _as_json(weak: Weakness) -> dict[str, Any]:
    return {"name": weak.name, "lacks": list(weak.lacks), "session": weak.holds_session}
