"""Loops in tests flush at every step where they ask for it, so that a step can be named."""

from __future__ import annotations

import pytest

from workbench.engine import fit as loop


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush after every step, whatever it costs."""
    monkeypatch.setattr(loop, "FLUSH_S", 0.0)
    monkeypatch.setattr(loop, "SLOWEST_FLUSH_S", 0.0)
