"""The request to explain, and its explanation, as values for whoever prints them."""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]
"""Header (name, value) pairs in order, repeats kept."""


@dataclass(frozen=True, slots=True)
class Described:
    """The request to explain, as typed: no byte of it is sent unless `--ask` says so."""

    method: str
    url: str
    """Absolute: http or https, host, path and query as they would stand on the request line."""
    headers: Headers = ()
    """Beside Host, which the URL gives unless it is here too."""
    ip: str = "127.0.0.1"
    """The address of the connection's other end."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the payload."""

    name: str
    value: str
    """As sent: after the cut."""
    sent_bytes: int
    """Bytes of `value` in UTF-8, before JSON or form encoding."""
    limit_bytes: int | None
    """None: the table has no limit for it."""
    cut: bool
    """Whether the limit of the field or the budget of the whole took anything away."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Protection API said when it was asked, and what follows from it."""

    decision: str
    """allow, block, redirect or error."""
    reason: str
    """Why there is no decision (timeout, integrity, ...), with a detail if one is known; "" if there is one."""
    status: int | None
    """The API's status (with `integrity: header`, the header's); None if no answer came."""
    duration_s: float
    rule: str
    """Which of its rules decided (X-DataDome-ruletype); "" if it does not say."""
    outcome: str
    """The `outcome` label this request would be counted under."""
    request_headers: Headers
    """Merged into the request to the origin."""
    response_headers: Headers
    """Merged into the response to the client; of a block or redirect, those of the local reply."""
    origin_gets: tuple[str, ...]
    """The head the origin would get, line by line; () if nothing reaches it."""
    client_gets: tuple[str, ...]
    """The local reply's head, line by line; () if the client gets the origin's response."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is decided about a request before anybody is asked, and the answer if somebody was."""

    site: str | None
    """None: no site matches, the client gets 421; or the request is refused before a site is looked for."""
    site_reason: str
    checked: bool
    checked_reason: str
    """Why it is checked or bypassed: the rule, pattern, network or mode that decides."""
    client_ip: str
    client_ip_reason: str
    fields: tuple[Field, ...] = ()
    """() for a bypass."""
    encoding: str = ""
    """json or form; with `encoding: auto` and nobody asked, form and that this may change."""
    encoded_bytes: int = 0
    budget_bytes: int = 0
    answer: Answer | None = None
    """None unless asked; about a bypass nobody is asked."""
