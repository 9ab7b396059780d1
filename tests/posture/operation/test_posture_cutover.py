"""The commands that undo a cutover: people copy them into a shell, and most of what they hold is a platform's text."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.operation.cutover import Plan, Record, undo_commands

NASTY = (
    "7; touch PWNED; #", "$(touch PWNED)", "-$(touch PWNED)\x1b[31m\nfoo'bar", "`id`", "--help", "a b", "", "'\"\\",
)  # fmt: skip


def typed(line: str) -> list[list[str]]:
    """The words of every program that a shell starts for the line: each is shown by `gateway`, anything else fails."""
    script = f'PATH=; gateway() {{ printf "%s\\0" "$@" "END"; }}\n{line}'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == ""
    words = done.stdout.split("\0")[:-1]
    return [one.split("\0")[:-1] for one in "\0".join(words).removesuffix("END").split("END\0")]


@pytest.mark.parametrize("text", NASTY)
def test_undo_commands_hold_foreign_text_as_one_word_that_is_no_option(text: str, tmp_path: Path) -> None:
    file, new = tmp_path / "my gateway.yaml", Record("A", "203.0.113.1", "8" + text)
    plan = Plan(f"{text}.example", text, (new,), (new,))

    delete, add, publish = undo_commands(file, plan, (Record("A", text, "5"),))

    assert typed(delete) == [["posture", "dns", "delete-record", f"8{text}", "-c", str(file)]]
    assert typed(add) == [
        ["posture", "dns", "add-record", f"{text}.example", "A", f"--name={text}", f"--ip={text}", "-c", str(file)]
    ]
    assert typed(publish) == [["posture", "dns", "publish", f"{text}.example", "-c", str(file)]]


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20))
def test_undo_commands_are_one_command_each_whatever_the_text(text: str) -> None:
    new = Record("CNAME", "203.0.113.1", text)
    plan = Plan("zone.example", "shop", (new,), (new,))
    delete, add, _ = map(shlex.split, undo_commands(Path("gateway.yaml"), plan, (Record("CNAME", text, "5"),)))
    assert (delete[4], len(delete)) == (text or "SEQ", 7)
    assert (add[5:8], len(add)) == (["CNAME", "--alias=shop", f"--name={text}"], 10)
