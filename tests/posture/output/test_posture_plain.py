"""Tables in a pipe: aligned, unwrapped, without rich."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.output.foreign import shown
from gateway.posture.output.plain import draw_plain
from gateway.posture.output.table import Facts, Lines, Part, Table

PROGRAM = """
import sys
from gateway.posture.output.table import print_document
print_document("domains", {"domains": [], "total": 0})
print("rich" in sys.modules, file=sys.stderr)
"""


def drawn(*parts: Part) -> str:
    stream = io.StringIO()
    draw_plain(parts, stream)
    return stream.getvalue()


def test_table_has_a_line_for_each_row_numbers_to_the_right_and_no_blanks_at_the_end() -> None:
    table = Table(("domain", "risk", "last scan"), (("a.example", "4.2", ""), ("long.example", "10.0", "2025")))

    assert drawn(table) == (
        "domain        risk  last scan\n"
        "a.example      4.2\n"
        "long.example  10.0  2025\n"
    )  # fmt: skip


def test_parts_have_a_blank_line_between_them_and_their_titles_above() -> None:
    parts = (Facts((("id", "x"), ("status", "failed")), "Scan"), Table(("a",), ()), Lines(("2 scans",)))

    assert drawn(*parts) == "Scan\nid      x\nstatus  failed\n\n2 scans\n"


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn() == drawn(Table(("a",), ()), Lines(())) == ""
    assert drawn(Table(("a",), (), "Title")) == "Title\n"


def test_wide_characters_count_twice_and_those_on_another_not_at_all() -> None:
    rows = (("日本", "x"), ("e\u0301", "x"), ("abcd", "x"))

    assert drawn(Table(("name", "b"), rows)) == "name  b\n日本  x\ne\u0301     x\nabcd  x\n"


def test_long_texts_are_not_wrapped() -> None:
    assert drawn(Table(("a", "b"), (("x" * 500, "y"),))).splitlines()[1] == "x" * 500 + "  y"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_every_text_is_there_on_the_line_of_its_row_and_commands_no_terminal(rows: list[tuple[str, str]]) -> None:
    lines = drawn(Table(("a", "cvss"), tuple(rows))).removesuffix("\n").split("\n")

    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(shown(text).strip() in line for text in row)
        assert line.isprintable()


@pytest.mark.parametrize(("forced", "loads"), [("", "False"), ("1", "True")])
def test_rich_is_loaded_only_where_colours_are_wanted(forced: str, loads: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True,
        env={"FORCE_COLOR": forced, "PATH": ""},
    )  # fmt: skip

    assert (done.stdout.strip(), done.stderr.strip()) == ("no domains", loads)
