"""Everything that can contradict a browser's claim, with its weight.

Theory of the weights. A score is the sum of the weights, at most 100; from SUSPICIOUS (30) on a challenge is worth its
trouble, from CERTAIN (70) on nobody is harmed by a block. So a weight says how often a person's browser shows the same:

- 30 and more: never, short of a person who disguises the browser on purpose; enough for a challenge alone.
- 20 to 25: seldom (a privacy extension, a corporate proxy, an application that borrowed the user agent); two of them
  challenge.
- 5 to 15: now and then; three of them challenge.

Sources: UA-CH = User-Agent Client Hints (W3C draft); FM = Fetch Metadata Request Headers (W3C); Fetch = WHATWG Fetch;
"recorded" = the header sets of Chromium 156 in tests/engine/browser/recorded.py, taken from its sockets.
"""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """`weight`: points of the score. `why`: the reason why a person's browser does not do that, or how seldom."""

    weight: int
    why: str
    source: str


FINDINGS: dict[str, Finding] = {
    # What the user agent alone gives away.
    "automation_named": Finding(
        90, "a headless or driven browser that says so, in the user agent or among the brands", "recorded"
    ),
    "platform_unknown": Finding(
        35, "Windows NT 11.0 and macOS on ARM are no browser's words: those platforms are frozen at older ones",
        "UA-CH 6",
    ),
    "platform_impossible": Finding(
        20, "Chrome on iOS writes CriOS; Chrome/ on an iPhone comes from generators and from developers' tools", "MDN"
    ),
    "version_future": Finding(40, "a version that is not released yet, by a year's margin", "release calendars"),
    "version_never_released": Finding(40, "Safari and iOS went from 18 to 26", "Apple, 2025"),
    "version_inconsistent": Finding(
        30, "Firefox writes its version twice (rv: and Firefox/); they agree, or rv is 109.0 in 110 to 119", "MDN"
    ),
    "version_ancient": Finding(
        15, "desktop browsers that cannot be updated are rare, and lists of user agents for scripts are full of them",
        "release calendars",
    ),
    "version_unreduced": Finding(
        10, "Chrome writes its minor version as 0.0.0 since 107 (desktop) and 110 (phones); some forks do not",
        "chromium.org/updates/ua-reduction",
    ),
    "user_agent_truncated": Finding(
        25, "a desktop platform and no browser after it: typed by hand, or a library's last resort", "RFC 9110 10.1.5"
    ),
    # Client hints. Chromium 90 and later fill them in over https.
    "hints_missing": Finding(
        20, "Chrome, Edge and Opera on a desktop send Sec-CH-UA with all but workers, preflights and WebSockets;"
        " browsers in disguise and a few proxies lack it", "UA-CH 4; recorded",
    ),
    "hints_missing_android": Finding(
        10, "the same on Android, where applications use web views whose user agent they changed: those send none",
        "Android WebView",
    ),
    "hints_unexpected": Finding(50, "Firefox, Safari and all browsers of iOS send no Sec-CH-UA", "MDN"),
    "hints_version_differs": Finding(
        50, "the Chromium of Sec-CH-UA and of the user agent are one number of one program", "UA-CH 3; recorded"
    ),
    "hints_brand_differs": Finding(
        20, "the brands of Sec-CH-UA are another browser's than the user agent, or lack Chromium", "UA-CH 3"
    ),
    "hints_version_differs_embedded": Finding(
        20, "the same of a browser or application that we know little of: some keep an old user agent", "UA-CH 3"
    ),
    "hints_brand_bare": Finding(
        30, "on Windows and macOS the browsers that people install name a brand beside Chromium; the builds that"
        " drivers bring along do not, nor do those of the few who run ungoogled-chromium", "recorded",
    ),
    "hints_grease_differs": Finding(
        40, "Chrome and Edge derive order and invented brand from the version: every other list was written by hand",
        "Chromium, user_agent_utils.cc; checked for 109 to 156",
    ),
    "hints_grease_unverified": Finding(
        15, "the same for a version newer than those whose lists were checked", "Chromium, user_agent_utils.cc"
    ),
    "mobile_differs": Finding(40, "Sec-CH-UA-Mobile is ?1 exactly if the user agent says Mobile", "UA-CH 3"),
    "platform_differs": Finding(
        50, "Sec-CH-UA-Platform is another operating system: the user agent was changed and the hints forgotten",
        "UA-CH 3; recorded: a user agent given on the command line",
    ),
    # Fetch metadata. Chromium 80, Firefox 90, Safari 16.4 and later fill it in over https.
    "fetch_metadata_missing": Finding(
        25, "Chrome sends Sec-Fetch-Site, -Mode and -Dest with everything but WebSockets and reports", "FM 2; recorded"
    ),
    "fetch_metadata_missing_gecko": Finding(
        30, "Firefox does too, no setting changes it, and there are no client hints whose absence would tell more",
        "FM 2; curl-impersonate",
    ),
    "fetch_metadata_missing_webkit": Finding(
        20, "Safari does since 16.4; web views of its age were seen without", "FM 2; webkit.org"
    ),
    "fetch_metadata_partial": Finding(25, "site, mode and dest come together: a library sets one of them", "FM 2"),
    "fetch_metadata_future": Finding(25, "fetch metadata from a version that had none", "FM; caniuse.com"),
    "fetch_metadata_illegal": Finding(
        30, "a mode that does not exist, a navigation for an image, a user's gesture without a navigation", "FM 2.2-2.4"
    ),
    "fetch_metadata_odd": Finding(20, "a document that is not navigated to", "Fetch 2.2.5"),
    # Negotiation.
    "accept_missing": Finding(15, "all send Accept, if only */*; bare HTTP libraries do not", "Fetch 4.1; recorded"),
    "accept_language_missing": Finding(
        15, "all send it, but for odd settings and some proxies; scripts forget it", "Fetch 4.5; recorded"
    ),
    "accept_language_any": Finding(25, "browsers list the languages of a person; `*` is a library's default", "undici"),
    "accept_encoding_missing": Finding(15, "all send it; a few corporate proxies take it away", "Fetch 4.5; recorded"),
    "encoding_differs": Finding(
        10, "br or zstd is not offered over https by a version that knows it: proxies that inspect traffic do that too",
        "recorded; caniuse.com",
    ),
    "encoding_order": Finding(
        20, "Chrome and Firefox begin with `gzip, deflate`; `identity` is for ranges of a film", "recorded"
    ),
    "encoding_future": Finding(25, "zstd from a version that could not decode it", "caniuse.com"),
    "accept_differs": Finding(
        20, "a navigation that does not ask for text/html first, or asks as another browser does", "MDN, default Accept"
    ),
    # The rest of the head.
    "upgrade_missing": Finding(5, "Chrome sends Upgrade-Insecure-Requests with every navigation", "recorded"),
    "origin_missing": Finding(5, "a POST without Origin: sent since 2020, proxies may drop it", "Fetch 3.2"),
    "header_order": Finding(
        15, "Accept before Accept-Encoding in every browser; Chrome and Firefox name themselves before, and put"
        " Accept-Language after it (Chrome) or before it (Firefox)", "recorded; apify/header-generator",
    ),
}  # fmt: skip
