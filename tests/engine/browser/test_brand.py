"""Sec-CH-UA by version, against headers that browsers sent."""

from __future__ import annotations

import pytest

from gateway.engine.browser.brand import brand_list


@pytest.mark.parametrize(
    ("major", "brand", "expected"),
    [
        (109, "Google Chrome", '"Not_A Brand";v="99", "Google Chrome";v="109", "Chromium";v="109"'),
        (110, "Google Chrome", '"Chromium";v="110", "Not A(Brand";v="24", "Google Chrome";v="110"'),
        (121, "Microsoft Edge", '"Not A(Brand";v="99", "Microsoft Edge";v="121", "Chromium";v="121"'),
        (122, "Google Chrome", '"Chromium";v="122", "Not(A:Brand";v="24", "Google Chrome";v="122"'),
        (124, "Android WebView", '"Chromium";v="124", "Android WebView";v="124", "Not-A.Brand";v="99"'),
        (128, "Microsoft Edge", '"Chromium";v="128", "Not;A=Brand";v="24", "Microsoft Edge";v="128"'),
        (131, "Google Chrome", '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"'),
        (132, "Google Chrome", '"Not A(Brand";v="8", "Chromium";v="132", "Google Chrome";v="132"'),
        (139, "Microsoft Edge", '"Not;A=Brand";v="99", "Microsoft Edge";v="139", "Chromium";v="139"'),
        (141, "Google Chrome", '"Google Chrome";v="141", "Not?A_Brand";v="8", "Chromium";v="141"'),
        (145, "Google Chrome", '"Not:A-Brand";v="99", "Google Chrome";v="145", "Chromium";v="145"'),
        (149, "Microsoft Edge", '"Microsoft Edge";v="149", "Chromium";v="149", "Not)A;Brand";v="24"'),
        (156, "", '"Not:A-Brand";v="8", "Chromium";v="156"'),
    ],
)
def test_brand_list_is_the_one_that_browsers_sent(major: int, brand: str, expected: str) -> None:
    assert brand_list(major, brand) == expected
