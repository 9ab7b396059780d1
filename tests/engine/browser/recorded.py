"""Requests of real browsers (requests.txt), as the fields of a description."""

from __future__ import annotations

from pathlib import Path

# header -> field of the contract
_FIELDS = {
    "user-agent": "UserAgent", "accept": "Accept", "accept-encoding": "AcceptEncoding", "host": "Host",
    "accept-language": "AcceptLanguage", "sec-ch-ua": "SecCHUA", "sec-ch-ua-mobile": "SecCHUAMobile",
    "sec-ch-ua-platform": "SecCHUAPlatform", "sec-fetch-site": "SecFetchSite", "sec-fetch-mode": "SecFetchMode",
    "sec-fetch-dest": "SecFetchDest", "sec-fetch-user": "SecFetchUser", "content-type": "ContentType",
    "origin": "Origin", "connection": "Connection", "referer": "Referer", "x-requested-with": "X-Requested-With",
    "cache-control": "CacheControl", "pragma": "Pragma",
}  # fmt: skip


def recorded(transcript: str) -> dict[str, str]:
    """The fields of `scheme METHOD target`, then one header a line."""
    first, *lines = transcript.strip().splitlines()
    scheme, method, target = first.split(" ")
    fields = {"Protocol": scheme, "Method": method, "Request": target, "Host": "shop.example"}
    names = []
    for line in lines:
        name, _, value = line.partition(": ")
        names.append(name.lower())
        if name.lower() in _FIELDS:
            fields[_FIELDS[name.lower()]] = value
    return {**fields, "HeadersList": ",".join(names)[:512]}


def _read() -> dict[str, dict[str, str]]:
    text = (Path(__file__).parent / "requests.txt").read_text()
    blocks = (block.partition("\n") for block in text.split("\n== ")[1:])
    return {name: recorded(transcript) for name, _, transcript in blocks}


RECORDED = _read()
"""Name -> fields."""
