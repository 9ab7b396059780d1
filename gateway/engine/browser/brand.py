"""The Sec-CH-UA header of a Chromium, which is a function of its major version and its brand.

Since version 103 Chromium invents one brand ("GREASE") so that nobody relies on the list, and takes its spelling, its
version and the order of the list from the major version (components/embedder_support/user_agent_utils.cc). Scripts that
count up the version in a copied header, or write one by hand, get that wrong.
"""

from __future__ import annotations

FIRST_VERIFIED = 109  # both compared with headers that browsers sent
LAST_VERIFIED = 156

_CHARACTERS = " (:-./);=?_"
_VERSIONS = ("8", "99", "24")
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def brand_list(major: int, brand: str) -> str:
    """Sec-CH-UA of Chromium `major` under `brand`, "" for a build that has no brand of its own."""
    size = len(_CHARACTERS)
    invented = f"Not{_CHARACTERS[major % size]}A{_CHARACTERS[(major + 1) % size]}Brand"
    entries = [f'"{invented}";v="{_VERSIONS[major % 3]}"', f'"Chromium";v="{major}"']
    order: tuple[int, ...] = (major % 2, (major + 1) % 2)
    if brand:
        entries.append(f'"{brand}";v="{major}"')
        order = _ORDERS[major % 6]
    placed = [""] * len(entries)
    for entry, place in zip(entries, order, strict=True):
        placed[place] = entry
    return ", ".join(placed)
