"""Every test of the lectures starts from the same random numbers, in whatever order they run."""

from __future__ import annotations

import pytest

import pellucid as pe


@pytest.fixture(autouse=True)
def same_seed():
    pe.random.set_seed(0)
