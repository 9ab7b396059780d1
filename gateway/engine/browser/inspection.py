"""A described request held against what its user agent claims.

Theory of operation. The user agent is read into a Claim once (remembered). Then each group of headers is held against
it. Two kinds of evidence are kept apart:

- A contradiction counts wherever it is seen: a header is there and says something else than the user agent.
- An absence counts only if it can be known and means something: HeadersList is described, whole (not cut at the
  contract's 512 bytes) and lacks the name; the request came in a secure context (client hints and fetch metadata exist
  over https and on localhost only); the claim is a whole browser's and not that of an application, a television or a
  web view; and the request is none of those that browsers send bare (WebSocket, preflight, worker, report).

Order and encodings are not looked at where a proxy stands before us: proxies reorder and re-encode.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.engine.browser.brand import FIRST_VERIFIED, LAST_VERIFIED
from gateway.engine.browser.claim import NOTHING, Claim, read_claim
from gateway.engine.browser.finding import FINDINGS
from gateway.engine.wire import Described

SUSPICIOUS = 30
"""From this score on a challenge is worth its trouble."""
CERTAIN = 70
"""From this score on it is certain enough to block under the preset `aggressive`."""

# The contract cuts HeadersList at 512 bytes; one that was cut inside a UTF-8 sequence is up to 3 bytes shorter.
CUT_HEADERS_LIST_CHARACTERS = 512 - 3

MAX_USER_AGENT_CHARACTERS = 768  # the contract's limit; other modules may send more, which is not remembered

# Chrome and Edge release every two weeks since the autumn of 2026, Firefox with smaller numbers. A year's worth of
# slack: clocks are wrong, and the pace may change.
ANCHOR_MAJOR = LAST_VERIFIED
ANCHOR_S = 1_795_000_000  # November 2026
MAJOR_LASTS_S = 14 * 86_400
SLACK_MAJORS = 26


class Inspection(NamedTuple):
    """`score`: 0 (nothing contradicts the claim, or none is made) to 100. `findings`: names of FINDINGS, in the order
    in which they were found."""

    score: int
    findings: tuple[str, ...]


NOTHING_FOUND = Inspection(0, ())


def inspect(described: Described) -> Inspection:
    """Pure: the same request gets the same inspection. Measured: 2.4 to 3.6 us for a browser's navigation or fetch, 35
    us more for a user agent that was not seen lately."""
    claim = read_claim(described.text("UserAgent")[:MAX_USER_AGENT_CHARACTERS])
    if claim is NOTHING:
        return NOTHING_FOUND
    found = list(claim.findings)
    if claim.engine != "other":
        _check_age(claim, described, found)
        _check_hints(claim, described, found)
        _check_metadata(claim, described, found)
        _check_accept(claim, described, found)
    if not claim.embedded:
        headers = described.text("HeadersList")
        names = f",{headers.lower()},"
        if headers and len(headers) < CUT_HEADERS_LIST_CHARACTERS:
            _check_absences(claim, described, names, found)
        _check_wire_habits(claim, described, names, found)
    if not found:
        return NOTHING_FOUND
    return Inspection(min(100, sum(FINDINGS[name].weight for name in found)), tuple(found))


def _check_age(claim: Claim, described: Described, found: list[str]) -> None:
    if claim.engine == "webkit" or claim.major <= ANCHOR_MAJOR:
        return
    sent_us = described.fields.get("TimeRequest")
    since_s = float(sent_us) / 1e6 - ANCHOR_S if isinstance(sent_us, int | float) else 0.0
    if claim.major > ANCHOR_MAJOR + SLACK_MAJORS + max(0.0, since_s) / MAJOR_LASTS_S:
        found.append("version_future")


def _check_hints(claim: Claim, described: Described, found: list[str]) -> None:
    """Contradictions between the user agent and the client hints that are there."""
    brands = described.text("SecCHUA")
    if not brands:
        return
    if "Headless" in brands:
        found.append("automation_named")
    if claim.engine != "chromium":
        found.append("hints_unexpected")
        return
    if not claim.major:
        return
    if brands not in claim.brands:
        _check_brands(claim, brands, found)
    if claim.embedded:
        return
    mobile = described.text("SecCHUAMobile")
    if mobile != ("?1" if claim.mobile else "?0") and mobile in ("?0", "?1"):
        found.append("mobile_differs")
    platform = described.text("SecCHUAPlatform")
    if platform and platform not in _HINT_PLATFORMS.get(claim.platform, (platform,)):
        found.append("platform_differs")


def _check_brands(claim: Claim, brands: str, found: list[str]) -> None:
    """A list that is none of those known for this version: is it at least possible?"""
    if brands == claim.bare_brands:
        # The same on Linux and Android is what distributions package.
        if claim.family == "Chrome" and claim.platform in ("Windows", "macOS"):
            found.append("hints_brand_bare")
        return
    at = brands.find('"Chromium";v="')
    if at < 0:
        found.append("hints_brand_differs")
        return
    major = brands[at + 14 :].partition('"')[0]
    if major != str(claim.major):
        found.append("hints_version_differs_embedded" if claim.embedded else "hints_version_differs")
        return
    if claim.family not in ("Chrome", "Edge"):
        return
    edge = '"Microsoft Edge"' in brands
    if edge != (claim.family == "Edge"):
        found.append("hints_brand_differs")
    elif (edge or '"Google Chrome"' in brands) and brands.count(";v=") <= 3:  # four: Edge WebView2
        if FIRST_VERIFIED <= claim.major <= LAST_VERIFIED:
            found.append("hints_grease_differs")
        elif claim.major > LAST_VERIFIED:
            found.append("hints_grease_unverified")


def _check_metadata(claim: Claim, described: Described, found: list[str]) -> None:
    """Contradictions within the fetch metadata that is there, and with the version that sends it."""
    mode = described.text("SecFetchMode")
    if not mode:
        return
    destination = described.text("SecFetchDest")
    if mode == "navigate":
        # `empty`: a service worker that passes a navigation on (recorded)
        if destination and destination not in _NAVIGATED and destination in _DESTINATIONS:
            found.append("fetch_metadata_illegal")
    elif mode not in _MODES or described.text("SecFetchUser"):
        found.append("fetch_metadata_illegal")
    elif destination in _DOCUMENTS:
        found.append("fetch_metadata_odd")
    if claim.major and not claim.metadata_known and not claim.embedded and not _early_chromium(claim):
        found.append("fetch_metadata_future")


def _early_chromium(claim: Claim) -> bool:
    """76 to 79 sent all but Sec-Fetch-Dest."""
    return claim.engine == "chromium" and claim.major >= 76


def _check_accept(claim: Claim, described: Described, found: list[str]) -> None:
    """What a navigation asks for; without metadata nobody knows what is one."""
    if claim.embedded or described.text("SecFetchMode") != "navigate":
        return
    accept = described.text("Accept")
    if not accept:
        return
    if not accept.startswith("text/html"):
        found.append("accept_differs")
    elif claim.engine == "chromium":
        if claim.major >= 80 and "image/apng" not in accept:
            found.append("accept_differs")
    elif "image/apng" in accept or "signed-exchange" in accept:
        found.append("accept_differs")


def _check_absences(claim: Claim, described: Described, names: str, found: list[str]) -> None:
    """Headers that this browser always sends and this request lacks. `names`: all of them, lower case, a comma on both
    sides of each."""
    method = described.text("Method")
    if method == "OPTIONS" or ",sec-websocket-key," in names or (method == "POST" and _is_report(described)):
        return
    mode = described.text("SecFetchMode")
    if mode or _secure(described):
        _check_secure_absences(claim, described, names, mode, found)
    if ",accept," not in names:
        found.append("accept_missing")
    if ",accept-language," not in names:
        found.append("accept_language_missing")
    if ",accept-encoding," not in names:
        found.append("accept_encoding_missing")
    if mode == "navigate" and claim.hints_due and ",upgrade-insecure-requests," not in names:
        found.append("upgrade_missing")
    if method == "POST" and claim.metadata_due and ",origin," not in names:
        found.append("origin_missing")


def _is_report(described: Described) -> bool:
    """Reporting API 3.2: sent by the network stack, long after the page, with what it needs and nothing else."""
    return described.text("ContentType").startswith("application/reports+json")


def _check_secure_absences(claim: Claim, described: Described, names: str, mode: str, found: list[str]) -> None:
    """Client hints and fetch metadata; Chrome asks for the scripts of workers without hints (recorded)."""
    if claim.hints_due and ",sec-ch-ua," not in names and mode != "same-origin":
        found.append("hints_missing_android" if claim.platform == "Android" else "hints_missing")
    if not claim.metadata_due:
        return
    present = (",sec-fetch-site," in names) + (",sec-fetch-mode," in names) + (",sec-fetch-dest," in names)
    if not present:
        found.append(_METADATA_MISSING[claim.engine])
    elif present < 3:
        found.append("fetch_metadata_partial")


def _check_wire_habits(claim: Claim, described: Described, names: str, found: list[str]) -> None:
    """Encodings, languages and the order of names, where nobody stands in between."""
    if described.text("AcceptLanguage").strip() == "*":
        found.append("accept_language_any")
    if _relayed(described):
        return
    _check_encodings(claim, described, names, found)
    if _disordered(claim, names):
        found.append("header_order")


def _check_encodings(claim: Claim, described: Described, names: str, found: list[str]) -> None:
    encodings = described.text("AcceptEncoding")
    if not encodings or claim.engine not in ("chromium", "gecko"):
        return
    if encodings == _ENCODINGS_NOW and claim.major >= 126:
        return
    if encodings.startswith("identity"):
        if ",range," not in names and 2 < len(names) < CUT_HEADERS_LIST_CHARACTERS:
            found.append("encoding_order")
        return
    if not encodings.startswith("gzip, deflate"):
        found.append("encoding_order")
    chromium = claim.engine == "chromium"
    if "zstd" in encodings:
        if claim.major < (117 if chromium else 126):
            found.append("encoding_future")
    elif not _secure(described):
        return
    elif claim.major >= (124 if chromium else 126) or ("br" not in encodings and claim.major >= 52):
        found.append("encoding_differs")


def _disordered(claim: Claim, names: str) -> bool:
    """The order of names is one that no browser has, sorted or not."""
    encoding = names.find(",accept-encoding,")
    if encoding < 0:
        return False
    if names.find(",accept,") > encoding:
        return True
    if claim.engine not in ("chromium", "gecko"):
        return False
    if names.find(",user-agent,") > encoding:
        return True
    language = names.find(",accept-language,")
    if language < 0:
        return False
    return language < encoding if claim.engine == "chromium" else language > encoding


def _secure(described: Described) -> bool:
    """Secure context as the browser sees it, as far as we can know: https, or this machine (Secure Contexts 3.1)."""
    if described.text("Protocol") == "https":
        return True
    host = described.text("Host")
    return host.startswith(("localhost", "127.0.0.1", "[::1]")) or host.partition(":")[0].endswith(".localhost")


def _relayed(described: Described) -> bool:
    """A proxy stands before the module, which may have sorted and rewritten what it passes on."""
    fields = described.fields
    return "Via" in fields or "XForwardedForIP" in fields or "X-Real-IP" in fields or "TrueClientIP" in fields


_METADATA_MISSING = {
    "chromium": "fetch_metadata_missing",
    "gecko": "fetch_metadata_missing_gecko",
    "webkit": "fetch_metadata_missing_webkit",
}
_ENCODINGS_NOW = "gzip, deflate, br, zstd"
# Platform of the user agent -> legal values of Sec-CH-UA-Platform. Chrome on Android asks for desktop sites as Linux.
_HINT_PLATFORMS: dict[str, tuple[str, ...]] = {
    "Windows": ('"Windows"',),
    "macOS": ('"macOS"', '"Mac OS X"'),
    "Linux": ('"Linux"', '"Android"', '"Chrome OS"', '"Chromium OS"', '"Unknown"'),
    "Chrome OS": ('"Chrome OS"', '"Chromium OS"', '"Linux"'),
    "Android": ('"Android"',),
}
_MODES = frozenset({"cors", "no-cors", "same-origin", "navigate", "websocket", "webtransport"})
_DOCUMENTS = frozenset({"document", "iframe", "frame", "fencedframe"})
_NAVIGATED = _DOCUMENTS | {"embed", "object", "empty"}
# Those known (Fetch 2.2.5): what is invented later is no contradiction
_DESTINATIONS = _NAVIGATED | {
    "audio", "audioworklet", "font", "image", "json", "manifest", "paintworklet", "report", "script", "serviceworker",
    "sharedworker", "style", "track", "video", "webidentity", "worker", "xslt",
}  # fmt: skip
