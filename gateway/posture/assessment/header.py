"""What an answer's header fields say about the protection of its visitors. Pure.

Headers are (name in lower case, value) pairs in the order in which they came. Sources: HSTS RFC 6797; Content Security
Policy Level 3; Fetch (X-Content-Type-Options); RFC 7034 (X-Frame-Options); Referrer Policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gateway.posture.assessment.verdict import Verdict, found, ok
from gateway.posture.assessment.wording import clean

Headers = tuple[tuple[str, str], ...]

_MAX_AGE = re.compile(r"\s*max-age\s*=\s*\"?(\d{1,12})\"?\s*\Z", re.IGNORECASE)
_REFERRER_POLICIES = frozenset({
    "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
})  # fmt: skip
"""All but unsafe-url, which gives every address away."""


def values(headers: Headers, name: str) -> tuple[str, ...]:
    """Every value of a field."""
    return tuple(value for key, value in headers if key == name)


def judge_hsts(headers: Headers) -> Verdict:
    """RFC 6797 8.1: the first field counts; max-age=0 takes a former one back."""
    fields = values(headers, "strict-transport-security")
    ages = [match[1] for part in (fields[0] if fields else "").split(";") if (match := _MAX_AGE.match(part))]
    if ages and int(ages[0]) > 0:
        return ok(max_age_s=int(ages[0]))
    return _absent("Strict-Transport-Security", fields, "with a max-age over 0")


def judge_csp(headers: Headers) -> Verdict:
    """A policy that is enforced; one that only reports protects nobody."""
    fields = values(headers, "content-security-policy")
    if any(_directives(headers)):
        return ok()
    report_only = bool(values(headers, "content-security-policy-report-only"))
    expected = "with a directive" + (", only one that reports and enforces nothing" if report_only else "")
    return _absent("Content-Security-Policy", fields, expected)


def judge_nosniff(headers: Headers) -> Verdict:
    """Fetch, "determine nosniff": the first value counts."""
    fields = values(headers, "x-content-type-options")
    first = ",".join(fields).split(",")[0].strip().lower()
    return ok() if first == "nosniff" else _absent("X-Content-Type-Options", fields, "nosniff")


def judge_frame(headers: Headers) -> Verdict:
    """frame-ancestors of the policy, or X-Frame-Options; ALLOW-FROM is understood by no browser."""
    if "frame-ancestors" in _directives(headers):
        return ok(by="frame-ancestors")
    fields = values(headers, "x-frame-options")
    words = {word.strip().upper() for word in ",".join(fields).split(",")}
    if words in ({"DENY"}, {"SAMEORIGIN"}):
        return ok(by="X-Frame-Options")
    return _absent("X-Frame-Options", fields, "DENY or SAMEORIGIN, nor frame-ancestors in a Content-Security-Policy")


def judge_referrer(headers: Headers) -> Verdict:
    """The last policy that a browser knows counts."""
    fields = values(headers, "referrer-policy")
    known = [word for word in _words(fields) if word in _REFERRER_POLICIES or word == "unsafe-url"]
    if known and known[-1] != "unsafe-url":
        return ok(policy=known[-1])
    return _absent("Referrer-Policy", fields, "with a policy that keeps addresses from other sites")


JUDGES: dict[str, Callable[[Headers], Verdict]] = {
    "header-hsts": judge_hsts,
    "header-csp": judge_csp,
    "header-nosniff": judge_nosniff,
    "header-frame": judge_frame,
    "header-referrer": judge_referrer,
}


def _words(fields: tuple[str, ...]) -> list[str]:
    return [word.strip().lower() for word in ",".join(fields).split(",")]


def _directives(headers: Headers) -> frozenset[str]:
    """Names of directives over all policies that are enforced."""
    return frozenset(_names(values(headers, "content-security-policy")))


def _names(policies: tuple[str, ...]) -> Iterator[str]:
    for directive in re.split("[;,]", ",".join(policies)):
        words = directive.split(None, 1)
        if words:
            yield words[0].lower()


def _absent(name: str, fields: tuple[str, ...], expected: str) -> Verdict:
    if not fields:
        return found(f"there is no {name} {expected}", header=name, value=None)
    value = clean(", ".join(fields[:4]))
    return found(f"{name} is {value!r}; expected is one {expected}", header=name, value=value)
