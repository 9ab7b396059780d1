"""Fixtures of the embedded Protection API's tests. `browser_requests` beside this file holds the requests of people."""

from __future__ import annotations

import pytest

from gateway.engine.rules import Rule, floor


@pytest.fixture(scope="session")
def rules() -> tuple[Rule, ...]:
    """The rules of the product, loaded once."""
    return floor()
