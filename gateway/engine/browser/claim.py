"""What a user agent claims: which browser, which version, on what.

Only as much is read as the other headers can confirm or contradict. A user agent that is no browser's (`curl/8.5`,
`Lynx/2.9`, anything that calls itself `compatible;` as crawlers do) claims nothing: engine "".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from gateway.engine.browser.brand import brand_list

Engine = Literal["", "chromium", "gecko", "webkit", "other"]

REMEMBERED = 4096  # user agents, of at most 768 characters, some 8 MiB with their claims at the worst

OLDEST = {"chromium": 70, "gecko": 60, "webkit": 11, "other": 0}
"""Majors of late 2018, and below them `version_ancient` on a desktop."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`family`: Chrome, Edge, Opera, Samsung, Firefox, Safari, "" else. `major`: of the engine (131 of an Opera 116,
    which says Chrome/131), 0 if unknown; of WebKit the one of Safari or of iOS, with `minor`. `platform`: Windows,
    macOS, Linux, Chrome OS, Android, iOS or "". `embedded`: a web view, an application, a television, a console, a
    browser that we know too little of: it is not held to send what the well-known ones send. `findings`: what the user
    agent alone gives away."""

    engine: Engine
    family: str = ""
    major: int = 0
    minor: int = 0
    platform: str = ""
    mobile: bool = False
    embedded: bool = False
    findings: tuple[str, ...] = ()
    brands: frozenset[str] = frozenset()
    """Values of Sec-CH-UA under the brands that we know of this family."""
    bare_brands: str = ""
    """Sec-CH-UA of a build without a brand of its own."""

    hints_due: bool = False
    """Sec-CH-UA by default: Chrome and Edge since 90, Opera since 76 (Chromium 90)."""
    metadata_known: bool = False
    """The engine has Sec-Fetch-Site, -Mode and -Dest: Chromium 80, Firefox 90, Safari and iOS 16.4."""
    metadata_due: bool = False
    """And this one sends them."""


NOTHING = Claim("")


@lru_cache(maxsize=REMEMBERED)
def read_claim(user_agent: str) -> Claim:
    """The claim of a user agent; NOTHING if it is no browser's. Remembers the last REMEMBERED ones."""
    if "Headless" in user_agent:
        return Claim("other", embedded=True, findings=("automation_named",))
    if not user_agent.startswith("Mozilla/") or _NO_BROWSER.search(user_agent):
        return NOTHING
    for token, read in _READERS:
        if token in user_agent:
            return _with_dues(read(user_agent))
    return _bare(user_agent)


def _with_dues(claim: Claim) -> Claim:
    """The same with what such a browser sends over https."""
    known = (claim.major, claim.minor) >= _METADATA_SINCE[claim.engine]
    hints = claim.family in _BRANDS and claim.major >= 90 and not claim.embedded
    return replace(claim, hints_due=hints, metadata_known=known, metadata_due=known and not claim.embedded)


def _chromium(user_agent: str) -> Claim:
    version = _CHROME.search(user_agent)
    if version is None:
        return Claim("other", embedded=True)
    major = int(version[1])
    plain = _PLAIN_CHROME.fullmatch(user_agent)
    family = _FAMILIES[plain[1] or plain[2]] if plain else ""
    platform = _platform(user_agent)
    desktop = platform in _DESKTOPS
    # Every Chromium of a desktop has the network stack of Chrome; on phones the name alone says application or browser.
    embedded = (not family and not desktop) or _EMBEDDED.search(user_agent) is not None
    findings = _platform_findings(user_agent)
    if family and not embedded:
        if platform == "iOS":
            findings.append("platform_impossible")
        if desktop and major < OLDEST["chromium"]:
            findings.append("version_ancient")
        if desktop and major >= 107 and not _REDUCED.fullmatch(version[2]):
            findings.append("version_unreduced")
    return Claim(
        "chromium",
        family,
        major,
        platform=platform,
        mobile="Mobile" in user_agent,
        embedded=embedded,
        findings=tuple(findings),
        brands=frozenset(brand_list(major, brand) for brand in _BRANDS.get(family, ())),
        bare_brands=brand_list(major, ""),
    )


def _firefox(user_agent: str) -> Claim:
    version = _FIREFOX.search(user_agent)
    if version is None:
        return Claim("other", embedded=True)
    major = int(version[1])
    plain = _PLAIN_FIREFOX.fullmatch(user_agent)
    platform = _platform(user_agent)
    findings = _platform_findings(user_agent)
    if plain:
        written = int(plain[1])
        if written != major and not (written == 109 and 110 <= major < 120):
            findings.append("version_inconsistent")
        if platform in _DESKTOPS and major < OLDEST["gecko"]:
            findings.append("version_ancient")
    return Claim("gecko", "Firefox", major, platform=platform, embedded=plain is None, findings=tuple(findings))


def _safari(user_agent: str) -> Claim:
    platform = _platform(user_agent)
    plain = _PLAIN_SAFARI.fullmatch(user_agent)
    found = (_IOS if platform == "iOS" else _VERSION).search(user_agent)
    major, minor = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    findings = _platform_findings(user_agent)
    own = _VERSION.search(user_agent)
    if plain and any(19 <= number <= 25 for number in (major, int(own[1]) if own else 0)):
        findings.append("version_never_released")
    if plain and platform == "macOS" and 0 < major < OLDEST["webkit"]:
        findings.append("version_ancient")
    family = "Safari" if plain else ""
    embedded = plain is None or platform not in ("macOS", "iOS")
    return Claim("webkit", family, major, minor, platform, embedded=embedded, findings=tuple(findings))


def _explorer(user_agent: str) -> Claim:
    embedded = _EMBEDDED.search(user_agent) is not None or "Windows Phone" in user_agent
    return Claim("other", embedded=embedded, findings=() if embedded else ("version_ancient",))


def _bare(user_agent: str) -> Claim:
    """A platform and nothing after it."""
    findings = ("user_agent_truncated",) if _TRUNCATED.fullmatch(user_agent) else ()
    return Claim("other", embedded=not findings, findings=findings)


def _platform(user_agent: str) -> str:
    for token, platform in _PLATFORMS:
        if token in user_agent:
            return platform
    return ""


def _platform_findings(user_agent: str) -> list[str]:
    return ["platform_unknown"] if _UNKNOWN_PLATFORM.search(user_agent) else []


_NEVER = (99_999, 0)
_METADATA_SINCE = {"": _NEVER, "chromium": (80, 0), "gecko": (90, 0), "webkit": (16, 4), "other": _NEVER}
_READERS = (
    ("MSIE ", _explorer),
    ("Trident/", _explorer),
    ("Chrome/", _chromium),
    ("Chromium/", _chromium),
    ("Firefox/", _firefox),
    ("AppleWebKit/", _safari),
)
_PLATFORMS = (
    ("iPhone", "iOS"), ("iPad", "iOS"), ("iPod", "iOS"), ("Android", "Android"), ("CrOS", "Chrome OS"),
    ("Windows NT", "Windows"), ("Macintosh", "macOS"), ("Linux", "Linux"),
)  # fmt: skip
_DESKTOPS = ("Windows", "macOS", "Linux")
_FAMILIES = {None: "Chrome", "SamsungBrowser": "Samsung", "Edg": "Edge", "EdgA": "Edge", "OPR": "Opera"}
# family -> brands of its lists that are known exactly; any other list of that family is judged by parts
_BRANDS = {"Chrome": ("Google Chrome", "Brave"), "Edge": ("Microsoft Edge",), "Opera": ()}
_CHROME = re.compile(r"Chrom(?:e|ium)/([0-9]{1,4})((?:\.[0-9]+)*)")
_REDUCED = re.compile(r"(?:\.0){1,3}|")
_PLAIN_CHROME = re.compile(
    r"Mozilla/5\.0 \([^()]*\) AppleWebKit/537\.36 \(KHTML, like Gecko\) (?:(SamsungBrowser)/[0-9.]+ )?"
    r"Chrome/[0-9.]+(?: Mobile)? Safari/537\.36(?: (Edg|EdgA|OPR)/[0-9.]+(?: \(Edition [^()]*\))?)?"
)
_FIREFOX = re.compile(r"Firefox/([0-9]{1,4})")
_PLAIN_FIREFOX = re.compile(
    r"Mozilla/5\.0 \([^()]*; rv:([0-9]{1,4})\.[0-9.]+\) Gecko/(?:20100101|[0-9.]+) Firefox/[0-9.]+"
)
_PLAIN_SAFARI = re.compile(
    r"Mozilla/5\.0 \([^()]*\) AppleWebKit/[0-9.]+ \(KHTML, like Gecko\) Version/[0-9.]+ (?:Mobile/\w+ )?Safari/[0-9.]+"
)
_VERSION = re.compile(r"Version/([0-9]{1,4})(?:\.([0-9]+))?")
_IOS = re.compile(r"OS ([0-9]{1,4})_([0-9]+)")
# Web views and applications, televisions, consoles, glasses, cars: they send what their makers left in.
_EMBEDDED = re.compile(
    r"; wv\)|TV|Tizen|Web0S|CrKey|BRAVIA|AFT[A-Z]|Silk/|Xbox|PlayStation|Nintendo|Quest|OculusBrowser|VR|Tesla"
    r"|Electron/|QtWebEngine|\bJavaFX"
)
# "compatible" is Internet Explorer's word, and since then only programs say it
_NO_BROWSER = re.compile(r"compatible;(?! MSIE)|\+https?://")
# Frozen: Windows at NT 10.0, macOS at "Intel Mac OS X 10_15_7" or 10.15 (W3C UA-CH 6; Mozilla bug 1693295).
_UNKNOWN_PLATFORM = re.compile(r"Windows NT 1[1-9]|Windows 1[01][;)]|(?:ARM|Apple|M[1-5]) Mac OS X")
_TRUNCATED = re.compile(r"Mozilla/5\.0(?: \((?:Windows NT|Macintosh|X11)[^()]*\)?)?(?: AppleWebKit/[0-9.]+)?")
