"""How many hostile inputs the tests throw at the importer; the number is a promise."""

from __future__ import annotations

from tests.data import test_arrays, test_hostile, test_nasty, test_refused, test_tables

TABLES = {
    "images and archives that are odd": test_hostile.REPAIRED,
    "files that are refused": test_hostile.REFUSED,
    "sources that are refused": test_refused.WHOLE,
    "sources beyond a limit": test_refused.LIMITED,
    "arrays that are refused": test_arrays.WHOLE,
    "arrays that are mended": test_arrays.MENDED,
    "rows that are awkward": test_tables.AWKWARD,
    "tables that are refused": test_tables.REFUSED,
    "edges of formats that are kept": test_nasty.KEPT,
    "edges of formats that are refused": test_nasty.REFUSED,
    "names of classes": test_nasty.NAMES,
}


def test_at_least_eighty_hostile_inputs_are_tried() -> None:
    """Each is an input of its own, not the same one packed another way."""
    counts = {name: len(cases) for name, cases in TABLES.items()}
    assert sum(counts.values()) == 207, counts
