"""The requests that a browser with a given user agent sends, header by header in its order.

Written from what browsers send, not from what the engine looks at: the orders and values are those of Chromium 156
(recorded), and of Chrome, Edge, Firefox and Safari in the signature database of curl-impersonate; from which version on
a header exists is from caniuse.com and the release notes. Only the spelling of the invented brand in Sec-CH-UA is
computed by the engine's own function, which its tests hold against headers that browsers sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.engine.browser.brand import brand_list

KINDS = ("navigates", "fetches", "posts json", "submits a form", "navigates over http")
HOST = "shop.example"
_DOCUMENT = "text/html,application/xhtml+xml,application/xml;q=0.9"


@dataclass(frozen=True, slots=True)
class Browser:
    """engine: chromium, gecko or webkit. major, minor: of the engine; of WebKit those of Safari or iOS."""

    user_agent: str
    engine: str
    major: int
    minor: int = 0

    @property
    def has_metadata(self) -> bool:
        since = {"chromium": (80, 0), "gecko": (90, 0), "webkit": (16, 4)}[self.engine]
        return (self.major, self.minor) >= since

    @property
    def hints(self) -> dict[str, str]:
        """Client hints by name, none before Chromium 90 and on other engines."""
        if self.engine != "chromium" or self.major < 90:
            return {}
        return {
            "sec-ch-ua": self._brands(),
            "sec-ch-ua-mobile": "?1" if "Mobile" in self.user_agent else "?0",
            "sec-ch-ua-platform": f'"{self._platform()}"',
        }

    def _brands(self) -> str:
        for token, brand in _BRANDS:
            found = re.search(rf"{token}/([0-9]+)", self.user_agent)
            if found:
                # Edge has the Chromium's number, the others their own.
                return brand_list(self.major, brand).replace(f'"{brand}";v="{self.major}"', f'"{brand}";v="{found[1]}"')
        return brand_list(self.major, "Android WebView" if "; wv)" in self.user_agent else "Google Chrome")

    def _platform(self) -> str:
        named = (("Android", "Android"), ("Windows", "Windows"), ("Macintosh", "macOS"), ("CrOS", "Chrome OS"))
        return next((platform for token, platform in named if token in self.user_agent), "Linux")

    def accept(self, *, navigation: bool) -> str:
        if not navigation:
            return "*/*"
        if self.engine == "chromium":
            avif = "image/avif," if self.major >= 85 else ""
            return f"{_DOCUMENT},{avif}image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
        if self.engine == "gecko" and 92 <= self.major < 132:
            return f"{_DOCUMENT},image/avif,image/webp,*/*;q=0.8"
        return f"{_DOCUMENT},*/*;q=0.8"

    def encodings(self, scheme: str) -> str:
        if scheme == "http":
            return "gzip, deflate"
        since = {"chromium": 123, "gecko": 126, "webkit": 999}[self.engine]
        return "gzip, deflate, br, zstd" if self.major >= since else "gzip, deflate, br"


def read_browser(user_agent: str) -> Browser:
    """Raises ValueError for a user agent of an engine that is not known here."""
    if found := re.search(r"Firefox/([0-9]+)", user_agent):
        return Browser(user_agent, "gecko", int(found[1]))
    if found := re.search(r"Chrome/([0-9]+)", user_agent):
        return Browser(user_agent, "chromium", int(found[1]))
    pattern = r"OS ([0-9]+)_([0-9]+)" if "like Mac OS X" in user_agent else r"Version/([0-9]+)\.([0-9]+)"
    found = re.search(pattern, user_agent)
    if "AppleWebKit/" in user_agent:
        return Browser(user_agent, "webkit", int(found[1]) if found else 0, int(found[2]) if found else 0)
    raise ValueError(f"no engine is known in {user_agent[:100]!r}")


def browser_request(browser: Browser, kind: str) -> tuple[str, bytes]:
    """(scheme, request head) of one of KINDS."""
    scheme = "http" if kind.endswith("over http") else "https"
    navigation = kind in ("navigates", "submits a form", "navigates over http")
    method, body_type = {
        "posts json": ("POST", "application/json"),
        "submits a form": ("POST", "application/x-www-form-urlencoded"),
    }.get(kind, ("GET", ""))
    values = {
        "host": HOST,
        "connection": "keep-alive",
        "user-agent": browser.user_agent,
        "accept": browser.accept(navigation=navigation),
        "accept-encoding": browser.encodings(scheme),
        "accept-language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    }
    if navigation and browser.engine != "webkit":
        values["upgrade-insecure-requests"] = "1"
    if kind != "navigates" and scheme == "https":
        values["referer"] = f"https://{HOST}/"
    if body_type:
        values |= {"content-type": body_type, "content-length": "27", "origin": f"https://{HOST}"}
    if scheme == "https":
        values |= browser.hints
        if browser.has_metadata:
            values |= _metadata(kind, navigation=navigation, user=navigation and browser.engine != "webkit")
    order = _ORDERS[browser.engine, navigation]
    lines = [f"{method} /shoes?page=2 HTTP/1.1", *(f"{name}: {values[name]}" for name in order if name in values)]
    assert len(lines) == len(values) + 1, f"{set(values) - set(order)} have no place in the order"
    return scheme, "\r\n".join([*lines, "", ""]).encode()


def _metadata(kind: str, *, navigation: bool, user: bool) -> dict[str, str]:
    metadata = {
        "sec-fetch-site": "none" if kind == "navigates" else "same-origin",
        "sec-fetch-mode": "navigate" if navigation else "cors",
        "sec-fetch-dest": "document" if navigation else "empty",
    }
    return {**metadata, "sec-fetch-user": "?1"} if user else metadata  # Safari has none


# Browsers on Chromium that name themselves: token of the user agent -> brand of the client hints
_BRANDS = (
    ("EdgA?", "Microsoft Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("YaBrowser", "YaBrowser"),
    ("Avast", "Avast Secure Browser"), ("AVG", "AVG Secure Browser"), ("Silk", "Amazon Silk"),
)  # fmt: skip
_ORDERS: dict[tuple[str, bool], tuple[str, ...]] = {
    ("chromium", True): (
        "host", "connection", "content-length", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
        "upgrade-insecure-requests", "content-type", "user-agent", "origin", "accept", "sec-fetch-site",
        "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest", "referer", "accept-encoding", "accept-language",
    ),
    ("chromium", False): (
        "host", "connection", "content-length", "sec-ch-ua-platform", "user-agent", "sec-ch-ua", "content-type",
        "sec-ch-ua-mobile", "accept", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "referer",
        "accept-encoding", "accept-language",
    ),
    ("gecko", True): (
        "host", "user-agent", "accept", "accept-language", "accept-encoding", "content-type", "content-length",
        "origin", "connection", "referer", "upgrade-insecure-requests", "sec-fetch-dest", "sec-fetch-mode",
        "sec-fetch-site", "sec-fetch-user",
    ),
    ("gecko", False): (
        "host", "user-agent", "accept", "accept-language", "accept-encoding", "referer", "content-type",
        "content-length", "origin", "connection", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site",
    ),
    ("webkit", True): (
        "host", "content-type", "origin", "accept", "sec-fetch-site", "accept-language", "sec-fetch-mode",
        "accept-encoding", "user-agent", "content-length", "referer", "sec-fetch-dest", "connection",
    ),
    ("webkit", False): (
        "host", "content-type", "origin", "accept", "sec-fetch-site", "accept-language", "sec-fetch-mode",
        "accept-encoding", "user-agent", "content-length", "referer", "sec-fetch-dest", "connection",
    ),
}  # fmt: skip
