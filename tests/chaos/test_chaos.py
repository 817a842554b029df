"""Browser, app, supervisor, worker and answering process die at any moment; nothing is lost, no one lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.house import House
from tests.chaos.monkey import KINDS, Monkey
from tests.chaos.specs import victims

KILLS = 44
SEED = 20261124


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_forty_four_kills_lose_nothing_and_no_state_is_false_for_five_seconds(tmp_path: Path) -> None:
    with House(tmp_path / "home") as house:
        verdict = Monkey(house, victims(), SEED, print).play(KILLS)
    assert verdict.faults() == []
    assert verdict.kills == KINDS, "every kind, as often as it is in the deck"
    assert verdict.resumed >= 20, "else hardly a worker was killed"
    assert verdict.from_checkpoint >= 10, "else hardly a run had anything to lose"
