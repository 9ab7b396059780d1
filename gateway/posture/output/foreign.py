"""Texts of others, made safe to print: what is not printable is escaped, for it may command a terminal."""

from __future__ import annotations


def shown(text: str) -> str:
    """The text on one line: control characters, line ends, direction marks and halves of surrogates as `\\x1b`, `\\n`,
    `\\u202e`, `\\udcff`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def shown_line(text: str) -> str:
    """The same, with tabs left as they are: they separate the fields of a zone file."""
    return "\t".join(map(shown, text.split("\t")))
