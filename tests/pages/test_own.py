"""Presets of one's own on the model page, and a run's hardest samples on the data page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from tests.pages.hard import answered_here, boxes
from tests.worker.taught import taught
from workbench import catalog
from workbench.cli.main import run as workbench
from workbench.jobs import hardest as jobs
from workbench.jobs.hardest import hardest
from workbench.specs.presets import PRESETS
from workbench.store import Store, open_store
from workbench.ui.hardest import VIEW
from workbench.worker.answering import Answers

SPEC = PRESETS["mlp-tiny"].spec.with_changes("training.epochs=3", "training.threads=1")


def dialog(name: str = "") -> AppTest:
    """What the dialog holds, with a name typed in. (AppTest reruns the page, which closes a dialog.)"""

    def form() -> None:
        from workbench.ui import kept

        kept.save_form()

    app = AppTest.from_function(form, default_timeout=60).run()
    if name:
        app.text_input(key="kept.name").input(name).run()
    return app


def test_a_design_is_kept_offered_and_taken_up(visit: Opener, home: Path) -> None:
    opened = visit("model")
    opened.button(key="kept.open").click().run()
    assert opened.button(key="kept.save").disabled, "there is no name yet"
    app = dialog("my net")
    app.button(key="kept.save").click().run()
    assert not app.error
    kept = open_store().presets.get("my net")
    assert kept.model == PRESETS["cnn-mnist"].spec.model
    other = visit("model")
    assert "my net (your own)" in other.selectbox(key="preset").options
    other.selectbox(key="preset").set_value("").run()
    other.selectbox(key="preset").set_value("own:my net").run()
    draft = other.query_params["draft"]
    text = open_store().drafts.get(draft if isinstance(draft, str) else draft[0])
    assert text
    layers = json.loads(text)["spec"]["model"]["layers"]
    assert [layer["kind"] for layer in layers] == [layer.kind for layer in kept.model.layers]


def test_a_taken_name_is_asked_about_before_it_is_replaced(home: Path) -> None:
    open_store().presets.put("net", PRESETS["mlp-tiny"].spec)
    app = dialog("net")
    app.button(key="kept.save").click().run()
    assert any("already" in w.value for w in app.warning)
    assert open_store().presets.get("net").model == PRESETS["mlp-tiny"].spec.model
    app.button(key="kept.replace.go").click().run()
    assert open_store().presets.get("net").model == PRESETS["cnn-mnist"].spec.model


def test_a_preset_is_deleted_and_a_damaged_one_too(visit: Opener, home: Path) -> None:
    store = open_store()
    store.presets.put("net", PRESETS["mlp-tiny"].spec)
    (home / "presets" / "broken.yaml").write_text("model: [")
    app = visit("model")
    assert not app.error, "the page works beside a damaged file"
    app = dialog()
    assert any("broken" in e.value for e in app.error)
    app.button(key="kept.delete.broken").click().run()
    assert store.presets.names() == ("net",)


@pytest.mark.parametrize("name", ["../x", "a/b", "cnn-mnist", "<b>x</b> ![y](http://e/z.png)"])
def test_a_name_that_cannot_be_is_told_and_nothing_is_written(home: Path, name: str) -> None:
    app = dialog(name)
    app.button(key="kept.save").click().run()
    assert len(app.error) == 1
    assert not (home / "presets").exists()
    assert not list(home.parent.rglob("x.yaml"))


def test_the_command_line_lists_prints_and_takes_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store().presets.put("my net", PRESETS["mlp-tiny"].spec)
    (home / "presets" / "broken.yaml").write_text("model: [")
    assert workbench(["presets", "--json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert listed["my net"]["own"]
    assert "damaged" in listed["broken"]["about"]
    assert not listed["cnn-mnist"]["own"]
    assert workbench(["presets", "my net"]) == 0
    assert capsys.readouterr().out.startswith("version:")
    assert workbench(["check", "my net"]) == 0
    assert "It can run." in capsys.readouterr().out
    for name in ("broken", "../presets/my net", "nobody"):
        assert workbench(["presets", name]) == 2
        assert "error" in capsys.readouterr().err


# ---------------------------------------------------------------- hard and odd


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A copy of the digits with a run on it; questions are answered by the answering side in this process."""
    store = open_store()
    catalog.copy(store, "digits", "mine")
    taught(store, SPEC.with_changes("data.name=mine"))
    answered_here(store, monkeypatch)
    return store


def test_without_a_run_the_page_says_what_to_do(visit: Opener, home: Path) -> None:
    app = visit("data", set="digits", view=VIEW)
    assert any("Train a run on this set first" in i.value for i in app.info)
    assert not app.error


@pytest.mark.parametrize("kind", jobs.KINDS)
@pytest.mark.parametrize("split", ["validation", "train"])
def test_each_kind_is_shown(visit: Opener, mine: Store, kind: str, split: str) -> None:
    app = visit("data", set="mine", view=VIEW)
    for control in app.segmented_control:
        if (control.key or "").startswith("hard.split"):
            control.set_value(split)
        elif (control.key or "").startswith("hard.kind"):
            control.set_value(kind)
    app.run()
    assert not app.error
    assert not app.exception
    assert any("images judged by checkpoint" in c.value for c in app.caption)
    if kind != "mislabelled":
        assert len(boxes(app)) == 36


def test_a_hard_sample_is_relabelled_and_the_next_one_after_it(visit: Opener, mine: Store) -> None:
    """Two rounds: the run's version stays behind, and both times the very image chosen is changed."""
    app = visit("data", set="mine", view=VIEW)
    for version in (2, 3):
        before = catalog.looking.open_arrays(mine.datasets.get("mine").path).labels.copy()
        box = boxes(app)[version]
        row = int((box.key or "").rsplit(".", 1)[1])
        to = str((int(before[row]) + 1) % 10)
        box.check().run()
        next(b for b in app.selectbox if ".to" in (b.key or "")).select(to).run()
        next(b for b in app.button if (b.key or "").endswith(".go")).click().run()
        assert not app.error
        changed = mine.datasets.get("mine")
        assert changed.version == version
        after = catalog.looking.open_arrays(changed.path).labels
        assert np.flatnonzero(after != before).tolist() == [row]
        assert any(c.value == f"now {to}" for c in app.caption)


def test_a_dropped_sample_is_told_as_dropped(visit: Opener, mine: Store) -> None:
    app = visit("data", set="mine", view=VIEW)
    boxes(app)[0].check().run()
    next(b for b in app.button if (b.key or "").endswith(".drop")).click().run()
    assert mine.datasets.get("mine").rows == 1796
    assert [c.value for c in app.caption].count("dropped since") == 1
    assert len(boxes(app)) == 35


def test_the_run_leads_to_its_samples_and_hostile_names_stay_text(visit: Opener, mine: Store) -> None:
    run_id = mine.runs.list()[0].id
    mine.runs.rename(run_id, "<b>x</b> ![y](http://evil/z.png)")
    app = visit("live", run=run_id)
    links = [link.proto.query_string for link in app.get("page_link")]
    assert any(f"run={run_id}" in query and "view=Hard" in query for query in links)
    catalog.rename_class(mine, "mine", "3", "![y](http://evil/z.png)")
    page = visit("data", set="mine", view=VIEW, run=run_id)
    assert not page.error
    assert not any("![y](http" in m.value for m in [*page.markdown, *page.caption])


def test_the_command_line_tells_the_same(mine: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = mine.runs.list()[0].id
    assert workbench(["hardest", run_id, "--json", "--limit", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    answers = Answers(mine)
    whole = hardest(mine, run_id, asker=lambda s, v, p, t: answers.answer(v, p))
    assert found["hardest"] == whole["hardest"][:5]
    assert workbench(["hardest", run_id]) == 0
    assert "oddest:" in capsys.readouterr().out
    assert workbench(["hardest", run_id, "--split", "../x"]) == 2
    assert "it is one of validation, test, train" in capsys.readouterr().err
