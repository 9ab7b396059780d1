"""Who the load comes from: the headers that real clients send, in their order."""

from __future__ import annotations

Headers = dict[str, str]

CHROME_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
FIREFOX_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
SAFARI_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1"
)
CHROME_HINTS = {
    "sec-ch-ua": '"Google Chrome";v="141", "Not?A_Brand";v="8", "Chromium";v="141"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Windows"',
}

Browser = dict[str, Headers]
"""By what is fetched: "page", "style", "script" (a fetch() of JSON)."""

CHROME: Browser = {
    "page": {
        **CHROME_HINTS,
        "Upgrade-Insecure-Requests": "1",
        "User-Agent": CHROME_AGENT,
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
        "Sec-Fetch-Site": "none",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-User": "?1",
        "Sec-Fetch-Dest": "document",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "de-DE,de;q=0.9,en;q=0.8",
    },
    "style": {
        **CHROME_HINTS,
        "User-Agent": CHROME_AGENT,
        "Accept": "text/css,*/*;q=0.1",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "style",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "de-DE,de;q=0.9,en;q=0.8",
    },
    "script": {
        **CHROME_HINTS,
        "User-Agent": CHROME_AGENT,
        "Accept": "*/*",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "de-DE,de;q=0.9,en;q=0.8",
    },
}

FIREFOX: Browser = {
    "page": {
        "User-Agent": FIREFOX_AGENT,
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language": "en-US,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Upgrade-Insecure-Requests": "1",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "none",
        "Sec-Fetch-User": "?1",
        "Priority": "u=0, i",
    },
    "style": {
        "User-Agent": FIREFOX_AGENT,
        "Accept": "text/css,*/*;q=0.1",
        "Accept-Language": "en-US,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Sec-Fetch-Dest": "style",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Site": "same-origin",
        "Priority": "u=2",
    },
    "script": {
        "User-Agent": FIREFOX_AGENT,
        "Accept": "*/*",
        "Accept-Language": "en-US,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-origin",
        "Priority": "u=4",
    },
}

SAFARI: Browser = {
    "page": {
        "Sec-Fetch-Dest": "document",
        "User-Agent": SAFARI_AGENT,
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Sec-Fetch-Site": "none",
        "Sec-Fetch-Mode": "navigate",
        "Accept-Language": "en-GB,en;q=0.9",
        "Priority": "u=0, i",
        "Accept-Encoding": "gzip, deflate, br",
    },
    "style": {
        "Accept": "text/css,*/*;q=0.1",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Dest": "style",
        "Accept-Language": "en-GB,en;q=0.9",
        "Sec-Fetch-Mode": "no-cors",
        "User-Agent": SAFARI_AGENT,
        "Accept-Encoding": "gzip, deflate, br",
    },
    "script": {
        "Accept": "*/*",
        "Sec-Fetch-Site": "same-origin",
        "Accept-Language": "en-GB,en;q=0.9",
        "Accept-Encoding": "gzip, deflate, br",
        "Sec-Fetch-Mode": "cors",
        "User-Agent": SAFARI_AGENT,
        "Sec-Fetch-Dest": "empty",
    },
}

BROWSERS = (CHROME, FIREFOX, SAFARI)

APP: Headers = {
    "Accept": "application/json",
    "User-Agent": "ExampleShop/5.2.1 (com.example.shop; build:812; iOS 18.6.0) Alamofire/5.9.1",
    "Accept-Language": "en-GB;q=1.0, fr-GB;q=0.9",
    "Accept-Encoding": "br;q=1.0, gzip;q=0.9, deflate;q=0.8",
}
"""A native application: JSON, no cookies; it keeps its session in a header."""

BOTS: tuple[Headers, ...] = (
    {"User-Agent": "curl/8.14.1", "Accept": "*/*"},
    {"User-Agent": "python-requests/2.32.5", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
    {"User-Agent": "Scrapy/2.13.3 (+https://scrapy.org)", "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en"},
    {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"},
    {"User-Agent": "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "Accept": "*/*"},
    {**CHROME["page"], "User-Agent": CHROME_AGENT.replace("Chrome/", "HeadlessChrome/")},
    # A search engine by name alone: its address is none of that engine's.
    {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Accept": "*/*"},
)
"""Known automation: each must be blocked."""
