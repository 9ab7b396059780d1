"""Requests of real browsers, applications and their web views, as a module describes them to the Protection API."""

from __future__ import annotations

from typing import Any

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_APPLE}"

CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/131.0.0.0 Safari/537.36"
CHROME_ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36"
EDGE = f"{CHROME} Edg/131.0.0.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
SAFARI = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.1 Safari/605.1.15"
SAFARI_IOS = f"{_IPHONE} Version/18.1 Mobile/15E148 Safari/604.1"

# Browsers, phones whose names look like bots, in-app browsers, televisions, consoles, and HTTP stacks of applications.
USER_AGENTS = (
    CHROME,
    CHROME_ANDROID,
    EDGE,
    FIREFOX,
    SAFARI,
    SAFARI_IOS,
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Chrome/126.0 Safari/537.36",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_WEBKIT} Chrome/130.0.0.0 Safari/537.36",
    f"{CHROME} OPR/116.0.0.0",
    f"{CHROME} Vivaldi/7.0.3495.11",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/130.0.0.0 YaBrowser/24.12.0.0 Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0) {_WEBKIT} coc_coc_browser/123.0.178 Chrome/117.0.0.178 Safari/537.36",
    f"{_IPHONE} CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} FxiOS/133.0 Mobile/15E148 Safari/605.1.15",
    f"{_IPHONE} EdgiOS/131.0.2903.68 Version/18.0 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} GSA/345.0.699797094 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} Version/18.1 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    f"{_IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/491.0.0.31.114;FBBV/666;FBDV/iPhone15,3;FBSN/iOS;FBLC/en_US]",
    f"{_IPHONE} Mobile/15E148 Instagram 361.0.0.35.82 (iPhone15,3; iOS 18_1; en_US; en; scale=3.00; 1290x2796; 674)",
    f"{_IPHONE} Mobile/15E148 Snapchat/13.16.0.40 (like Safari/8618.3.11, panda)",
    f"{_IPHONE} Mobile/22B83 MicroMessenger/8.0.54(0x18003633) NetType/WIFI Language/en",
    f"{_IPHONE} Mobile/15E148 PayPal/8.77.0 (iPhone; iOS 18.1; Scale/3.00)",
    f"{_IPHONE} Mobile/15E148 Safari Line/14.19.1",
    f"Mozilla/5.0 (Linux; Android 15; CPH2581 Build/AP3A.240617.008; wv) {_WEBKIT} Version/4.0 Chrome/141.0.7390.122"
    " Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {_WEBKIT} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; U; Android 13; zh-cn; M2012K11AC) {_WEBKIT} Version/4.0 Chrome/89 MQQBrowser/14.5 Mobile",
    "Mozilla/5.0 (Linux; U; Android 5.0.2; zh-cn; Redmi Note 2 Build/LRX22G) AppleWebKit/534.30 (KHTML, like Gecko)"
    " Version/4.0 Mobile Safari/534.30 SogouMSE,SogouMobileBrowser/3.8.5",
    f"Mozilla/5.0 (Linux; Android 10; CUBOT_NOTE_20) {_WEBKIT} Chrome/107.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 9; CUBOT/X19 Build/PPR1) {_WEBKIT} Chrome/97.0.4692.98 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 8.1.0; Fever_Plus_J) {_WEBKIT} Chrome/95.0.4638.50 Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 8.0.0; Expanse) {_WEBKIT} Chrome/86.0.4240.99 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 4.4.2; HTCButterflys901s Build/KOT49H) {_WEBKIT} Chrome/41.0.2272.96 Mobile Safari",
    f"Mozilla/5.0 (Linux; Android 7.1.2; G011A; wv) {_WEBKIT} Version/4.0 Chrome/66.0 Safari/537.36 Viber/11.9.5.8",
    f"Mozilla/5.0 (Linux; Android 9; AFTS) {_WEBKIT} Silk/126.3.1 like Chrome/126.0.6478.71 Safari/537.36",
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {_WEBKIT} Chrome/108.0.5359.211 Safari/537.36 WebAppManager",
    f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {_WEBKIT} 94.0.4606.31/7.0 TV Safari/537.36",
    f"Mozilla/5.0 (PlayStation; PlayStation 5/10.00) {_APPLE} Version/17.0 Safari/605.1.15",
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Slack/4.41.98 Chrome/130.0.6723.137 Electron/33.2.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/191.308; U; en) Presto/2.12.423 Version/12.16",
    "Lynx/2.9.2 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/3.0.15",
    "okhttp/4.12.0",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240905.003)",
    "Shop/512 CFNetwork/1568.200.51 Darwin/24.1.0",
    "Shop/5.12 (com.example.shop; build:512; iOS 18.1.0) Alamofire/5.10.1",
    "Dart/3.5 (dart:io)",
    "AppleCoreMedia/1.0.0.22B83 (iPhone; U; CPU OS 18_1 like Mac OS X; en_us)",
)

_CHROME_HINTS = {
    "SecCHUA": '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
    "SecCHUAMobile": "?0",
    "SecCHUAPlatform": '"Windows"',
}
_CHROME_COMMON = {"UserAgent": CHROME, "AcceptEncoding": "gzip, deflate, br, zstd", "AcceptLanguage": "en-US,en;q=0.9"}
_DOCUMENT_OF_FIREFOX = _DOCUMENT_OF_SAFARI = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_DOCUMENT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"

# header -> field, in the order in which the browser sends them
_CHROME_ORDER = {
    "connection": "Connection", "pragma": "Pragma", "cache-control": "CacheControl", "sec-ch-ua": "SecCHUA",
    "sec-ch-ua-mobile": "SecCHUAMobile", "sec-ch-ua-platform": "SecCHUAPlatform", "content-type": "ContentType",
    "user-agent": "UserAgent", "accept": "Accept", "origin": "Origin", "x-requested-with": "X-Requested-With",
    "sec-fetch-site": "SecFetchSite", "sec-fetch-mode": "SecFetchMode", "sec-fetch-user": "SecFetchUser",
    "sec-fetch-dest": "SecFetchDest", "referer": "Referer", "accept-encoding": "AcceptEncoding",
    "accept-language": "AcceptLanguage",
}  # fmt: skip
_FIREFOX_ORDER = {
    "user-agent": "UserAgent", "accept": "Accept", "accept-language": "AcceptLanguage",
    "accept-encoding": "AcceptEncoding", "referer": "Referer", "content-type": "ContentType",
    "x-requested-with": "X-Requested-With", "origin": "Origin", "connection": "Connection",
    "sec-fetch-dest": "SecFetchDest", "sec-fetch-mode": "SecFetchMode", "sec-fetch-site": "SecFetchSite",
    "sec-fetch-user": "SecFetchUser", "pragma": "Pragma", "cache-control": "CacheControl",
}  # fmt: skip


def described(**fields: Any) -> dict[str, Any]:
    """The fields of a request: what every module sends, and these. HeadersList follows from them if it is not given."""
    order = _FIREFOX_ORDER if "Firefox/" in fields.get("UserAgent", "") else _CHROME_ORDER
    names = [name for name, field in order.items() if fields.get(field)]
    if "Upgrade" in fields.get("Connection", ""):
        names += ["upgrade", "sec-websocket-version", "sec-websocket-key"]
    if "text/html" in fields.get("Accept", ""):
        names.insert(names.index("user-agent"), "upgrade-insecure-requests")
    headers = ",".join(["host", *names])
    return {
        "Key": "key",
        "IP": "192.0.2.7",
        "RequestModuleName": "Gateway",
        "ModuleVersion": "0.1.0",
        "ServerName": "edge-1",
        "ServerHostname": "shop.example",
        "Host": "shop.example",
        "Port": 443,
        "Protocol": "https",
        "Method": "GET",
        "Request": "/cart?step=2",
        "TimeRequest": 1_750_000_000_000_000,
        "HeadersList": headers,
        "APIConnectionState": "new",
        "AuthorizationLen": 0,
        "CookiesLen": 0,
        "PostParamLen": 0,
        **fields,
    }


def _fetch(site: str, mode: str, dest: str, user: str = "") -> dict[str, str]:
    return {"SecFetchSite": site, "SecFetchMode": mode, "SecFetchDest": dest, "SecFetchUser": user}


_CHROME_NAVIGATES = {
    **_CHROME_COMMON, **_CHROME_HINTS, **_fetch("none", "navigate", "document", "?1"), "Accept": _DOCUMENT
}  # fmt: skip

BROWSER_REQUESTS: dict[str, dict[str, Any]] = {
    "chrome navigates": described(
        **_CHROME_COMMON, **_CHROME_HINTS, **_fetch("none", "navigate", "document", "?1"), Accept=_DOCUMENT
    ),
    "edge navigates": described(
        **{**_CHROME_COMMON, "UserAgent": EDGE},
        **{**_CHROME_HINTS, "SecCHUA": '"Microsoft Edge";v="131", "Chromium";v="131", "Not_A Brand";v="24"'},
        **_fetch("cross-site", "navigate", "document", "?1"),
        Accept=_DOCUMENT,
    ),
    "firefox navigates": described(
        UserAgent=FIREFOX,
        Accept=_DOCUMENT_OF_FIREFOX,
        AcceptLanguage="en-US,en;q=0.5",
        AcceptEncoding="gzip, deflate, br, zstd",
        **_fetch("none", "navigate", "document", "?1"),
    ),
    "safari navigates": described(
        UserAgent=SAFARI,
        Accept=_DOCUMENT_OF_SAFARI,
        AcceptLanguage="en-GB,en;q=0.9",
        AcceptEncoding="gzip, deflate, br",
        **_fetch("same-origin", "navigate", "document"),
    ),
    "safari on a phone navigates without fetch metadata": described(
        UserAgent=SAFARI_IOS,
        Accept=_DOCUMENT_OF_SAFARI,
        AcceptLanguage="de-DE,de;q=0.9",
        AcceptEncoding="gzip, deflate, br",
    ),
    "chrome on a phone navigates": described(
        UserAgent=CHROME_ANDROID,
        Accept=_DOCUMENT,
        AcceptLanguage="pt-BR,pt;q=0.9",
        AcceptEncoding="gzip, deflate, br, zstd",
        **{**_CHROME_HINTS, "SecCHUAMobile": "?1", "SecCHUAPlatform": '"Android"'},
        **_fetch("none", "navigate", "document", "?1"),
    ),
    "chrome on plain http sends neither hints nor metadata": described(
        **_CHROME_COMMON, Accept=_DOCUMENT, Protocol="http", Port=80
    ),
    "chrome fetches json": described(
        **_CHROME_COMMON,
        **_CHROME_HINTS,
        **_fetch("same-origin", "cors", "empty"),
        Accept="*/*",
        ContentType="application/json",
        Method="POST",
        PostParamLen=214,
        Origin="https://shop.example",
    ),
    "firefox deletes by xhr": described(
        UserAgent=FIREFOX,
        Accept="application/json",
        AcceptLanguage="fr",
        AcceptEncoding="gzip, deflate, br, zstd",
        Method="DELETE",
        **{"X-Requested-With": "XMLHttpRequest"},
        **_fetch("same-site", "cors", "empty"),
    ),
    "chrome asks before a cross-origin request": described(
        **_CHROME_COMMON,
        **_fetch("cross-site", "cors", "empty"),
        Method="OPTIONS",
        Accept="*/*",
        Origin="https://a.example",
    ),
    "chrome loads an image": described(
        **_CHROME_COMMON,
        **_CHROME_HINTS,
        **_fetch("same-origin", "no-cors", "image"),
        Accept="image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    ),
    "chrome opens a websocket": described(
        **_CHROME_COMMON,
        Connection="Upgrade",
        CacheControl="no-cache",
        Pragma="no-cache",
        Origin="https://shop.example",
    ),
    "firefox opens a websocket": described(
        UserAgent=FIREFOX,
        Accept="*/*",
        AcceptLanguage="en-US,en;q=0.5",
        AcceptEncoding="gzip, deflate, br, zstd",
        Connection="keep-alive, Upgrade",
        **_fetch("same-origin", "websocket", "empty"),
    ),
    "safari opens a websocket": described(
        UserAgent=SAFARI, AcceptEncoding="gzip, deflate", AcceptLanguage="en-GB,en;q=0.9", Connection="Upgrade"
    ),
    "chrome sends a beacon": described(
        **_CHROME_COMMON,
        **_CHROME_HINTS,
        **_fetch("same-origin", "no-cors", "empty"),
        Accept="*/*",
        ContentType="text/plain;charset=UTF-8",
        Origin="https://shop.example",
        Method="POST",
        PostParamLen=64,
    ),
    "chrome streams events": described(
        **_CHROME_COMMON, **_fetch("same-origin", "cors", "empty"), Accept="text/event-stream", CacheControl="no-cache"
    ),
    "chrome uploads a form": described(
        **_CHROME_COMMON,
        **_CHROME_HINTS,
        **_fetch("same-origin", "navigate", "document", "?1"),
        Accept=_DOCUMENT,
        Origin="https://shop.example",
        ContentType="multipart/form-data; boundary=----WebKitFormBoundaryABC",
        Method="POST",
        PostParamLen=1_048_576,
    ),
    "android web view navigates": described(
        UserAgent="Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
        " Chrome/131.0.6778.81 Mobile Safari/537.36",
        Accept=_DOCUMENT,
        AcceptLanguage="en-US,en;q=0.9",
        AcceptEncoding="gzip, deflate, br, zstd",
        **{"X-Requested-With": "com.example.shop", **_CHROME_HINTS},
        **_fetch("none", "navigate", "document", "?1"),
    ),
    "android application calls an api": described(UserAgent="okhttp/4.12.0", AcceptEncoding="gzip"),
    "android application with a browser's name calls an api": described(
        UserAgent=CHROME_ANDROID, AcceptEncoding="gzip", ContentType="application/json", Method="POST", PostParamLen=20
    ),
    "ios application calls an api": described(
        UserAgent="Shop/512 CFNetwork/1568.200.51 Darwin/24.1.0", Accept="*/*", AcceptEncoding="gzip, deflate, br"
    ),
    "proxy removed the encodings": described(**{**_CHROME_NAVIGATES, "AcceptEncoding": ""}),
    "module that describes no header list": described(UserAgent=CHROME, HeadersList=""),
    "header list that was cut": described(UserAgent=CHROME, HeadersList="x-" + "a" * 510),
    "header sent empty": described(
        **{**_CHROME_NAVIGATES, "Accept": ""},
        HeadersList="host,sec-ch-ua,sec-ch-ua-mobile,sec-ch-ua-platform,upgrade-insecure-requests,user-agent,accept,"
        "sec-fetch-site,sec-fetch-mode,sec-fetch-user,sec-fetch-dest,accept-encoding,accept-language",
    ),
    "path that looks odd": described(**_CHROME_NAVIGATES, Request="/a/...%20b/..c/%2e/d..?next=../home&file=..%2Fx"),
    "path of a bundler": described(**_CHROME_NAVIGATES, Request="/_next/static/chunks/app/%5B...slug%5D/page-1.js"),
    "brave in a container": described(
        **{**_CHROME_COMMON, **_CHROME_HINTS, "SecCHUA": '"Brave";v="131", "Chromium";v="131"'},
        Accept="*/*",
    ),
}
