"""The claim to be a browser, held against the rest of the request."""

from __future__ import annotations

import pytest
from engine.browser.recorded import RECORDED, recorded
from engine.browser_requests import USER_AGENTS
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.browser import CERTAIN, FINDINGS, SUSPICIOUS, Inspection, inspect
from gateway.engine.wire import TEXTS, Described

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"
NAVIGATION = RECORDED["chromium 156 navigates by the address bar"]
CHROME_150 = RECORDED["chrome 150 navigates"]
FIREFOX = RECORDED["firefox 144 navigates"]
SAFARI = RECORDED["safari 18 navigates"]


def found(request: dict[str, str], **changes: str | int) -> tuple[str, ...]:
    """The findings about a request with some of its fields changed; "" takes one away."""
    fields = {name: value for name, value in {**request, **changes}.items() if value != ""}
    return inspect(Described(fields)).findings


def without(request: dict[str, str], *names: str) -> dict[str, str]:
    """The request without some headers, in HeadersList too."""
    listed = ",".join(name for name in request["HeadersList"].split(",") if name not in names)
    fields = {"accept-language": "AcceptLanguage", "accept-encoding": "AcceptEncoding", "origin": "Origin"}
    return {**request, "HeadersList": listed, **{fields[name]: "" for name in names if name in fields}}


@pytest.mark.parametrize("name", RECORDED)
def test_inspection_of_a_recorded_browser_finds_nothing(name: str) -> None:
    assert inspect(Described(RECORDED[name])) == Inspection(0, ())


@pytest.mark.parametrize("user_agent", USER_AGENTS)
def test_inspection_of_a_user_agent_alone_is_never_suspicious(user_agent: str) -> None:
    assert inspect(Described({"UserAgent": user_agent})).score < SUSPICIOUS


@pytest.mark.parametrize(
    ("user_agent", "findings"),
    [
        (WINDOWS.format("131.0.0.0"), ()),
        (WINDOWS.format("131.0.6778.86"), ("version_unreduced",)),
        (WINDOWS.format("41.0.2228.0"), ("version_ancient",)),
        (WINDOWS.format("999.0.0.0"), ("version_future",)),
        (WINDOWS.format("156.0.0.0").replace("NT 10.0", "NT 11.0"), ("platform_unknown",)),
        (WINDOWS.format("44.0.5213.1363").replace("Windows NT 10.0", "iPhone"), ("platform_impossible",)),
        (WINDOWS.format("156.0.0.0").replace("Chrome", "HeadlessChrome"), ("automation_named",)),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0", ()),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/133.0", ("version_inconsistent",)),
        (SAFARI["UserAgent"].replace("18.4", "22.1"), ("version_never_released",)),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", ("user_agent_truncated",)),
        ("Mozilla/5.0", ("user_agent_truncated",)),
        ("Mozilla/5.0 (PLAYSTATION 3; 3.55)", ()),
        ("curl/8.5.0", ()),
        ("Mozilla/5.0 (compatible; Anybot/1.0; +https://bot.example) Chrome/12.0", ()),
        ("", ()),
    ],
)
def test_inspection_of_a_user_agent_alone_finds(user_agent: str, findings: tuple[str, ...]) -> None:
    assert found({"UserAgent": user_agent}) == findings


@pytest.mark.parametrize("years", [0, 1, 5])
def test_version_future_follows_the_clock_of_the_module(years: int) -> None:
    sent_us = (1_795_000_000 + years * 31_536_000) * 1_000_000
    newest = 156 + 26 * years
    assert found({"UserAgent": WINDOWS.format(f"{newest + 26}.0.0.0")}, TimeRequest=sent_us) == ()
    assert found({"UserAgent": WINDOWS.format(f"{newest + 54}.0.0.0")}, TimeRequest=sent_us) == ("version_future",)


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        ({"SecCHUA": '"HeadlessChrome";v="150", "Chromium";v="150"'}, ("automation_named",)),
        ({"UserAgent": WINDOWS.format("150.0.0.0")}, ("platform_differs",)),
        ({"SecCHUAMobile": "?1"}, ("mobile_differs",)),
        ({"UserAgent": CHROME_150["UserAgent"].replace("150", "141")}, ("hints_version_differs",)),
        ({"SecCHUA": '"Google Chrome";v="150", "Chromium";v="150"'}, ("hints_grease_differs",)),
        (
            {"SecCHUA": '"Google Chrome";v="150", "Chromium";v="150", "Not?A_Brand";v="8"'},
            ("hints_grease_differs",),
        ),
        (
            {
                "SecCHUA": '"Google Chrome";v="160", "Chromium";v="160", "Not";v="8"',
                "UserAgent": CHROME_150["UserAgent"].replace("150", "160"),
            },
            ("hints_grease_unverified",),
        ),
        ({"SecCHUA": '"Not=A?Brand";v="8", "Chromium";v="150"'}, ()),  # another seed's: not ours to judge
        ({"SecCHUA": '"Microsoft Edge";v="150", "Chromium";v="150", "x";v="8"'}, ("hints_brand_differs",)),
        ({"SecCHUA": '"Something";v="150"'}, ("hints_brand_differs",)),
        ({"SecCHUA": '"Brave";v="150", "Chromium";v="150", "x";v="8"'}, ()),
        ({"SecFetchMode": "embed"}, ("fetch_metadata_illegal",)),
        ({"SecFetchMode": "cors"}, ("fetch_metadata_illegal",)),
        ({"SecFetchMode": "cors", "SecFetchUser": ""}, ("fetch_metadata_odd",)),
        ({"SecFetchDest": "image"}, ("fetch_metadata_illegal",)),
        ({"SecFetchDest": "invented-in-2030"}, ()),
        ({"Accept": "*/*"}, ("accept_differs",)),
        ({"Accept": SAFARI["Accept"]}, ("accept_differs",)),
        ({"AcceptLanguage": "*"}, ("accept_language_any",)),
        ({"AcceptEncoding": "identity"}, ("encoding_order",)),
        ({"AcceptEncoding": "gzip"}, ("encoding_order", "encoding_differs")),
        ({"AcceptEncoding": "br, gzip, deflate"}, ("encoding_order", "encoding_differs")),
        ({"AcceptEncoding": "gzip, deflate, br"}, ("encoding_differs",)),
        ({"AcceptEncoding": "gzip, deflate, br", "Via": "1.1 proxy"}, ()),
        ({"AcceptEncoding": "gzip, deflate, br, zstd, dcb, dcz"}, ()),
    ],
)
def test_inspection_of_chrome_finds_what_contradicts_it(changes: dict[str, str], findings: tuple[str, ...]) -> None:
    assert found(CHROME_150, **changes) == findings


def test_inspection_of_a_bare_brand_depends_on_the_platform() -> None:
    assert found(NAVIGATION) == ()
    windows = {"UserAgent": WINDOWS.format("156.0.0.0"), "SecCHUAPlatform": '"Windows"'}
    assert found(NAVIGATION, **windows) == ("hints_brand_bare",)


def test_inspection_of_other_engines_finds_client_hints_and_foreign_accept_headers() -> None:
    assert found(FIREFOX, SecCHUA=CHROME_150["SecCHUA"]) == ("hints_unexpected",)
    assert found(SAFARI, SecCHUA=CHROME_150["SecCHUA"]) == ("hints_unexpected",)
    assert found(FIREFOX, Accept=CHROME_150["Accept"]) == ("accept_differs",)
    assert found(SAFARI, Accept=CHROME_150["Accept"]) == ("accept_differs",)


def test_inspection_of_old_versions_finds_what_they_could_not_send() -> None:
    old_firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:78.0) Gecko/20100101 Firefox/78.0"
    assert found(FIREFOX, UserAgent=old_firefox) == ("fetch_metadata_future", "encoding_future")
    assert found(SAFARI, UserAgent=SAFARI["UserAgent"].replace("18.4", "15.6")) == ("fetch_metadata_future",)


@pytest.mark.parametrize(
    ("names", "findings"),
    [
        (("sec-ch-ua",), ("hints_missing",)),
        (("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"), ("fetch_metadata_missing",)),
        (("sec-fetch-site", "sec-fetch-dest"), ("fetch_metadata_partial",)),
        (("accept-language",), ("accept_language_missing",)),
        (("accept-encoding",), ("accept_encoding_missing",)),
    ],
)
def test_inspection_of_a_whole_header_list_finds_what_it_lacks(
    names: tuple[str, ...], findings: tuple[str, ...]
) -> None:
    chrome = RECORDED["chromium 156 fetches"]
    lacking = {**without(chrome, *names), "SecCHUA": ""}
    assert found(lacking) == findings
    assert found(lacking, Method="OPTIONS") == ()
    assert found(lacking, HeadersList="") == ()
    assert found(lacking, HeadersList=lacking["HeadersList"] + ",x-" + "a" * 400) == ()
    assert found(lacking, HeadersList=lacking["HeadersList"] + ",sec-websocket-key") == ()


def test_inspection_of_missing_hints_weighs_less_on_android() -> None:
    phone = without(RECORDED["chrome 99 on a phone navigates"], "sec-ch-ua")
    assert found(phone, SecCHUA="") == ("hints_missing_android",)


def test_inspection_of_firefox_without_fetch_metadata_is_suspicious() -> None:
    bare = without(FIREFOX, "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
    assert found(bare, SecFetchMode="") == ("fetch_metadata_missing_gecko",)
    assert FINDINGS["fetch_metadata_missing_gecko"].weight >= SUSPICIOUS


def test_inspection_of_safari_without_fetch_metadata_weighs_less() -> None:
    bare = without(SAFARI, "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
    assert found(bare, SecFetchMode="") == ("fetch_metadata_missing_webkit",)


def test_inspection_over_http_expects_neither_hints_nor_metadata() -> None:
    curl = recorded(f"http GET /\nHost: shop.example\nUser-Agent: {CHROME_150['UserAgent']}\nAccept: */*")
    assert found(curl) == ("accept_language_missing", "accept_encoding_missing")
    absent = ("hints_missing", "fetch_metadata_missing")
    assert found(curl, Protocol="https") == (*absent, "accept_language_missing", "accept_encoding_missing")
    assert found(curl, Host="localhost:8080")[:2] == absent
    assert found(curl, Host="127.0.0.1")[:2] == absent
    assert found(without(curl, "accept"), Accept="")[0] == "accept_missing"
    # What sends a part of the metadata calls the context secure itself.
    assert found(curl, SecFetchMode="cors", HeadersList="host,accept,sec-fetch-mode")[:2] == (
        "hints_missing",
        "fetch_metadata_partial",
    )


@pytest.mark.parametrize(
    ("names", "findings"),
    [
        ("host,user-agent,accept,accept-encoding,accept-language", ()),
        ("host,accept-language,accept-encoding,user-agent,accept", ("header_order",)),
        ("user-agent,accept-encoding,accept,accept-language", ("header_order",)),
        ("user-agent,accept,accept-language,accept-encoding", ("header_order",)),
        ("accept,accept-encoding,accept-language,user-agent", ("header_order",)),
    ],
)
def test_inspection_of_chrome_knows_the_order_of_names(names: str, findings: tuple[str, ...]) -> None:
    plain = {"UserAgent": CHROME_150["UserAgent"], "Protocol": "http", "HeadersList": names}
    assert found(plain) == findings
    assert found(plain, XForwardedForIP="192.0.2.1") == ()


def test_inspection_of_a_post_without_origin_is_no_more_than_a_hint() -> None:
    posted = without(RECORDED["chromium 156 posts a form"], "origin")
    assert inspect(Described({name: value for name, value in posted.items() if value})) == Inspection(
        FINDINGS["origin_missing"].weight, ("origin_missing",)
    )


@pytest.mark.parametrize(
    "tail",
    [
        "Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 Instagram 361.0.0.46.88 Android",
        "Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 MicroMessenger/8.0.54",
        "Chrome/130.0.6723.137 Electron/33.2.0 Safari/537.36",
        "Silk/126.3.1 like Chrome/126.0.6478.71 Safari/537.36",
        "94.0.4606.31/7.0 TV Safari/537.36",
    ],
)
def test_inspection_of_embedded_browsers_ignores_what_is_absent(tail: str) -> None:
    user_agent = f"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) {tail}"
    assert found(recorded(f"https GET /\nHost: shop.example\nUser-Agent: {user_agent}\nAccept-Encoding: gzip")) == ()


@pytest.mark.parametrize(
    "headers",
    [
        "Host: a\nUser-Agent: {}\nAccept: */*",
        "Host: a\nUser-Agent: {}\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive",
        "Host: a\nUser-Agent: {}\nAccept-Encoding: gzip",
    ],
)
def test_inspection_of_a_script_with_a_borrowed_name_is_certain(headers: str) -> None:
    request = recorded("https GET /\n" + headers.format(WINDOWS.format("131.0.0.0")))
    assert inspect(Described(request)).score >= CERTAIN


def test_findings_have_weights_within_the_scale_and_reasons() -> None:
    for finding in FINDINGS.values():
        assert 0 < finding.weight <= 100
        assert finding.why and finding.source


@given(st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=60)), st.sampled_from([*USER_AGENTS, "Mozilla/5.0 ("]))
def test_inspection_never_raises_and_stays_on_the_scale(fields: dict[str, str], user_agent: str) -> None:
    inspection = inspect(Described({"UserAgent": user_agent, **fields}))
    assert 0 <= inspection.score <= 100
    assert set(inspection.findings) <= set(FINDINGS)
