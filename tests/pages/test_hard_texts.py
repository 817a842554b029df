"""The hardest and oddest texts of a set on its page: real answers of a run that learnt, texts relabelled."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.jobs.sets import WORDS, spec_of
from tests.pages.conftest import Opener
from tests.pages.hard import answered_here, boxes
from tests.worker.taught import taught
from workbench import catalog
from workbench.data.prepared import read_labels
from workbench.data.text.stored import Stored
from workbench.jobs.hardest import KINDS
from workbench.store import Store, open_store
from workbench.ui.hardest import VIEW

BAD = "![y](http://evil/z.png) <b>x</b>"
WRONG = (3, 40, 77, 104, 151)  # of them the label is the other one
N = 200


@pytest.fixture
def moods(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Texts whose class is told by one word, five mislabelled, and a run; answered in this process."""
    store = open_store()
    rng, lines = random.Random(1), ["text\tlabel"]
    for i in range(N):
        words = [*rng.choices(WORDS, k=5), "sun" if i % 2 else "moon"]
        lines.append(f"{' '.join(words)} {BAD}\t{'good' if (i % 2) != (i in WRONG) else 'bad'}")
    (tmp_path / "notes.tsv").write_text("\n".join(lines), encoding="utf-8")
    catalog.add(store, tmp_path / "notes.tsv", "notes")
    changes = (
        "data.validation=0.5",
        "training.epochs=12",
        "training.optimizer.lr=0.02",
        "data.text.length=32",
    )
    taught(store, spec_of(store, "notes", *changes))
    answered_here(store, monkeypatch)
    return store


def shown(app: AppTest, kind: str = "hardest") -> AppTest:
    page = next(c for c in app.segmented_control if (c.key or "").startswith("hard.kind"))
    return page.set_value(kind).run()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_shown_with_text_label_answer_and_confidence(
    visit: Opener, moods: Store, kind: str
) -> None:
    app = shown(visit("data", set="notes", view=VIEW), kind)
    assert not app.error
    assert not app.exception
    assert any(" texts judged by checkpoint" in c.value for c in app.caption)
    lines = boxes(app)
    assert len(lines) == 36 if kind != "mislabelled" else 0 < len(lines) < 12
    numbers = [int(box.key.rsplit(".", 1)[1]) for box in lines]
    stored = Stored(moods.datasets.get("notes").path)
    texts = {text.value for text in app.text}
    assert {stored.text(number) for number in numbers} <= texts
    said = [m.value for m in app.markdown if " → " in m.value]
    assert len(said) == len(lines)
    assert all(set(line.replace("*", "").split(" → ")) <= {"good", "bad"} for line in said)
    assert not any("![y](http" in m.value for m in [*app.markdown, *app.caption])


def test_planted_wrong_labels_are_first_and_one_is_put_right(visit: Opener, moods: Store) -> None:
    app = shown(visit("data", set="notes", view=VIEW), "mislabelled")
    numbers = [int(box.key.rsplit(".", 1)[1]) for box in boxes(app)]
    assert numbers
    assert set(numbers) <= set(WRONG)
    before = read_labels(moods.datasets.get("notes").path)[0].copy()
    boxes(app)[0].check().run()
    ready = next(b for b in app.selectbox if ".to" in (b.key or ""))
    assert (
        ready.value == moods.datasets.get("notes").schema.classes[1 - before[numbers[0]]]
    )  # what the model said
    next(b for b in app.button if (b.key or "").endswith(".go")).click().run()
    assert not app.error
    changed = moods.datasets.get("notes")
    assert changed.version == 2
    assert np.flatnonzero(read_labels(changed.path)[0] != before).tolist() == [numbers[0]]
    assert any("now " in c.value for c in app.caption)


def test_the_live_page_leads_there_and_shipped_sets_stay(visit: Opener, moods: Store) -> None:
    run_id = moods.runs.list()[0].id
    app = visit("live", run=run_id)
    links = [link.proto.query_string for link in app.get("page_link")]
    assert any(f"run={run_id}" in query and "view=Hard" in query for query in links)
    empty = visit("data", set="sms-spam", view=VIEW)
    assert any("Train a run on this set first" in i.value for i in empty.info)


def test_sets_without_classes_have_no_such_view(visit: Opener, moods: Store) -> None:
    for name in ("tiny-shakespeare", "iso-dates"):
        app = visit("data", set=name)
        assert VIEW not in [tab.label for tab in app.tabs]
        assert not app.error
