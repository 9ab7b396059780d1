"""Somebody with accounts of DDactic and CyperSecurity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from posture.command.commands import Operator, operator_in


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with operator_in(tmp_path) as operator:
        yield operator
