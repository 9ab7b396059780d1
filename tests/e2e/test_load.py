"""The load test itself, for a moment: it must pass against a right gateway, and its parts must still fit together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "loadtests" / "run.py"


def test_load_of_a_moment_finds_every_outcome_right() -> None:
    command = [sys.executable, str(RUN), "--seconds", "4", "--users", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("every outcome was right\n")
    assert len(re.findall(r"^(page|static|api|app|upload|download|bot) +\d+ +\d", done.stdout, re.MULTILINE)) == 7
