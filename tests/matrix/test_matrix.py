"""Each technique of the articles on each family of models works, or is refused before its first step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.matrix import cells
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store

# These need a checkpoint: tests/engine/test_kept_pretrained.py and tests/worker/test_pretrained_image.py.
APART = {"bert-classifier", "image-classifier"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(folder / "home"))
        patch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)
        store = open_store()
        cells.prepared(store, folder)
        yield store
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("family", cells.FAMILIES)
def test_every_technique_works_or_is_refused_with_its_repair_as_the_page_says(
    family: str, store: Store
) -> None:
    found = cells.row_of(store, family)
    for technique, cell in found.items():
        assert cell.works or all(cell.problem), f"{technique}: where, rule, fact and repair: {cell.problem}"
    said = cells.kept_row(cells.PAGE.read_text(encoding="utf-8"), family)
    assert {technique: cells.reason_of(cell) for technique, cell in found.items()} == said, (
        "docs/seeds.md says otherwise; write it anew: python -m tests.matrix.write"
    )


def test_every_preset_stands_for_itself_or_with_its_like() -> None:
    known = [name for first, _, others in cells.FAMILIES.values() for name in (first, *others)]
    assert sorted([*known, *APART]) == sorted(PRESETS)


def test_the_page_has_every_family_and_technique() -> None:
    page = cells.PAGE.read_text(encoding="utf-8")
    for family in cells.FAMILIES:
        assert list(cells.kept_row(page, family)) == list(cells.TECHNIQUES)
