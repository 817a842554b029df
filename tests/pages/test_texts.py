"""Texts on the pages: what a set holds, its tokens, the start that fits, the forms of each task, answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.browser.eyes import until
from tests.pages.conftest import Opener
from tests.pages.test_pages import asked, texts
from workbench import catalog
from workbench.specs.data import TextImport
from workbench.store import Store, open_store
from workbench.ui import fitting, imports, stack

BAD = "<b>x</b> ![y](http://evil/z.png)"
SETS = ("reviews", "story", "phrases")


@pytest.fixture
def store(home: Path, tmp_path: Path) -> Store:
    """A set of each purpose: texts in classes, one long text, and pairs."""
    opened = open_store()
    lines = [f'"{word} film, number {i} {BAD}",{label}' for i in range(40) for word, label in WORDS]
    (tmp_path / "reviews.csv").write_text("text,label\n" + "\n".join(lines))
    (tmp_path / "story.txt").write_text("".join(f"Line {i}: once upon a time {BAD}\n" for i in range(400)))
    (tmp_path / "phrases.tsv").write_text("".join(f"the cat {i}\tle chat {i}\n" for i in range(80)))
    for name, kind in zip(SETS, ("csv", "txt", "tsv"), strict=True):
        catalog.add(opened, tmp_path / f"{name}.{kind}", name)
    return opened


WORDS = (("a good", "pos"), ("a bad", "neg"))


def html(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def editor(app: AppTest) -> dict[str, Any]:
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return next(data for data in sent if "report" in data)


@pytest.mark.parametrize("view", ["Samples", "Tokens", "Copies", "Split", "Import report", "About"])
@pytest.mark.parametrize("name", SETS)
def test_every_view_of_a_set_of_texts_opens(visit: Opener, store: Store, name: str, view: str) -> None:
    app = visit("data", set=name, view=view)
    assert not app.error
    assert "Statistics" not in [tab.label for tab in app.tabs]
    assert "<b>x</b>" not in html(app)  # texts are a stranger's


def test_tokens_are_shown_and_follow_the_settings(visit: Opener, store: Store) -> None:
    app = visit("data", set="reviews", view="Tokens")
    before = html(app)
    assert "wb-tokens" in before
    assert "entries in the vocabulary" in before
    choice = next(box for box in app.selectbox if (box.key or "").endswith("reviews.tokenizer"))
    choice.set_value("character").run()
    assert html(app) != before
    assert not app.error


@pytest.mark.parametrize(
    ("name", "label"), [("story", "Context"), ("reviews", "Longest text"), ("phrases", "Longest text")]
)
def test_the_length_of_a_text_to_continue_is_called_its_context(
    visit: Opener, store: Store, name: str, label: str
) -> None:
    app = visit("data", set=name, view="Tokens")
    field = next(box for box in app.number_input if (box.key or "").endswith(".length"))
    assert field.label == f"{label} (tokens)"
    assert "nothing is cut off" in field.help
    split = visit("data", set=name, view="Split")
    shares = [box for box in split.number_input if (box.key or "").endswith((".validation", ".test"))]
    assert shares
    assert all("cut where a passage ends" in box.help for box in shares)


def test_an_unknown_word_of_a_typed_text_is_marked(visit: Opener, store: Store) -> None:
    app = visit("data", set="reviews", view="Tokens")
    app.segmented_control(key="tokens.way.reviews").set_value("Type one").run()
    app.text_area(key="tokens.typed.reviews").set_value("a good zeppelin").run()
    assert html(app).count("unknown: the vocabulary lacks it") == 1
    assert any("1 unknown" in caption.value for caption in app.caption)


@pytest.mark.parametrize("name", SETS)
def test_an_image_draft_on_texts_begins_with_what_fits(visit: Opener, store: Store, name: str) -> None:
    app = visit("data", set=name)
    app.button(key="use").click().run()
    assert app.title[0].value == "Model"
    sent = editor(app)
    assert sent["report"]["reads"] == "text"
    assert sent["report"]["ok"], sent["report"]["problems"]
    assert sent["report"]["goal"]["met"]
    kept = json.loads(store.drafts.get(asked(app, "draft")) or "")["spec"]
    assert kept["data"]["name"] == name
    assert kept["task"]["kind"] == store.datasets.get(name).schema.task


def test_another_kind_of_set_offers_layers_that_fit_in_one_click(visit: Opener, store: Store) -> None:
    app = visit("model")
    choice = next(box for box in app.selectbox if (box.key or "").startswith("data."))
    choice.set_value("story").run()
    assert not editor(app)["report"]["ok"]
    button = next(b for b in app.button if (b.key or "").startswith("mismatch."))
    button.click().run()
    assert editor(app)["report"]["ok"]
    assert not [b for b in app.button if (b.key or "").startswith("mismatch.")]


def test_a_translator_has_two_stacks_in_the_editor(visit: Opener, store: Store) -> None:
    app = visit("data", set="phrases")
    app.button(key="use").click().run()
    sent = editor(app)
    assert sent["report"]["paired"]
    assert sent["model"]["decoder"]
    assert len(sent["report"]["inputs"]) == 2
    assert sent["tie"]


@pytest.mark.parametrize(
    ("name", "shown", "hidden"),
    [
        ("reviews", "label_smoothing", "temperature"),
        ("story", "temperature", "label_smoothing"),
        ("phrases", "beam", "temperature"),
    ],
)
def test_the_train_page_shows_the_form_of_the_task(
    visit: Opener, store: Store, name: str, shown: str, hidden: str
) -> None:
    app = visit("data", set=name)
    app.button(key="use").click().run()
    app = visit("train", draft=asked(app, "draft"))
    kinds = (app.number_input, app.selectbox, app.toggle, app.text_input)
    keys = [str(widget.key) for some in kinds for widget in some]
    assert any(key.endswith((shown, f"{shown}.on")) for key in keys if key.startswith("task."))
    assert not any(key.endswith((hidden, f"{hidden}.on")) for key in keys if key.startswith("task."))
    assert not any("normalize" in key or "augment" in key or ".size" in key for key in keys)
    assert any(key.startswith("text.") for key in keys)
    assert not app.button(key="launch").disabled, texts(app)


def test_only_metrics_that_the_task_measures_are_offered(visit: Opener, store: Store) -> None:
    app = visit("data", set="story")
    app.button(key="use").click().run()
    app = visit("train", draft=asked(app, "draft"))
    switch = next(t for t in app.toggle if (t.key or "").endswith("early_stopping"))
    switch.set_value(True).run()
    metric = next(box for box in app.selectbox if (box.key or "").endswith("early_stopping.metric"))
    assert metric.options == ["Validation loss", "Validation accuracy"]


# ---------------------------------------------------------------- answers


def trained(store: Store, name: str) -> str:
    """A run on that set with a checkpoint."""
    schema = store.datasets.get(name).schema
    wanted = fitting.of_set(schema)
    data = fitting.DataSpec(name=name, text=fitting.usual_text(wanted))
    run = store.runs.create(fitting.plain_start(store, data, wanted))
    store.runs.exit(run.id, "finished")
    store.checkpoints.write(run.id, "best", b"x", step=1, epoch=1.0, metrics={})
    return run.id


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("reviews", {"prediction": "pos", "probabilities": {"pos": 0.9, "neg": 0.1}}, "pos"),
        ("story", {"text": f" and then {BAD}"}, "and then"),
        ("phrases", {"text": "le chat 7"}, "le chat 7"),
    ],
)
def test_a_model_of_texts_is_asked_and_answers(
    visit: Opener, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, answer: dict[str, Any], says: str
) -> None:
    run_id = trained(store, name)
    sent: dict[str, Any] = {}

    def ask(store: Store, verb: str, payload: dict[str, Any], timeout_s: float = 0) -> list[dict[str, Any]]:
        sent.update(payload, verb=verb)
        return [{"input": payload["texts"][0], **answer}]

    monkeypatch.setattr("workbench.jobs.answers.ask", ask)
    app = visit("predict", run=run_id)
    assert app.text_area[0].value  # an example of the held-out texts stands ready
    assert not sent
    app.text_area[0].set_value("a text of my own").run()
    app.button(key="predict.go").click().run()
    assert (sent["verb"], sent["run"], sent["checkpoint"]) == ("predict", run_id, "best")
    assert sent["texts"] == ["a text of my own"]
    said = "\n".join([html(app), texts(app)])
    assert says in said
    assert "<b>x</b>" not in said
    assert not app.error


def test_the_settings_of_a_continuation_go_with_the_question(
    visit: Opener, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = trained(store, "story")
    sent: dict[str, Any] = {}

    def ask(store: Store, verb: str, payload: dict[str, Any], timeout_s: float = 0) -> list[dict[str, Any]]:
        sent.update(payload)
        return [{"input": "", "text": "more"}]

    monkeypatch.setattr("workbench.jobs.answers.ask", ask)
    app = visit("predict", run=run_id)
    app.number_input(key=f"predict.asked.{run_id}.temperature").set_value(0.3).run()
    app.number_input(key=f"predict.asked.{run_id}.top_k").set_value(5).run()
    app.button(key="predict.go").click().run()
    assert (sent["asked"]["temperature"], sent["asked"]["top_k"]) == (0.3, 5)


# ---------------------------------------------------------------- before an import


def test_a_table_is_looked_at_before_it_is_imported(store: Store, tmp_path: Path) -> None:
    found = catalog.look(tmp_path / "reviews.csv")
    assert (found["task"], found["columns"]["label"]) == ("classification", "label")
    other = catalog.look(tmp_path / "reviews.csv", texts=TextImport(task="language_model"))
    assert other["task"] == "language_model"


def adding() -> None:
    from workbench.ui.adding import add_form

    add_form()


def pasted(text: str) -> AppTest:
    """What the dialog shows after that text was pasted."""
    app = AppTest.from_function(adding, default_timeout=60).run()
    app.segmented_control(key="add.way").set_value("Paste text").run()
    app.text_area(key="add.text").set_value(text).run()
    assert not app.exception
    return app


def test_pasted_text_becomes_a_set(store: Store) -> None:
    app = pasted("It was a dark and stormy night.\n" * 60)
    assert not app.error
    assert any("Read as plain text" in caption.value for caption in app.caption)
    app.button(key="add.go").click().run()
    item = imports.imports(store)[-1]
    until(lambda: item.over, "the import ends")
    imports.dismiss(item)
    assert item.name is not None, item.problems
    assert store.datasets.get(item.name).schema.task == "language_model"


def test_the_guess_is_shown_and_can_be_changed(store: Store) -> None:
    app = pasted("".join(f"the cat {i}\tle chat {i}\n" for i in range(60)))
    task = next(box for box in app.selectbox if (box.key or "").startswith("add.guess.task"))
    assert task.value == "translation"
    assert any((box.key or "").startswith("add.guess.target") for box in app.selectbox)
    task.set_value("language_model").run()
    assert not app.error
    assert not any((box.key or "").startswith("add.guess.target") for box in app.selectbox)


def test_the_plain_start_works_for_every_purpose(store: Store) -> None:
    for name in SETS:
        wanted = fitting.of_set(store.datasets.get(name).schema)
        data = fitting.DataSpec(name=name, text=fitting.usual_text(wanted))
        spec = fitting.plain_start(store, data, wanted)
        shape, n = fitting.input_of(store, data, spec.task)
        report = stack.report(stack.dump(spec.model), shape, n, per_token=wanted.per_token)
        assert report["ok"], (name, report["problems"])


def test_a_set_of_texts_of_the_hub_is_asked_for_by_name_and_columns(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        "workbench.ui.imports.catalog.add",
        lambda store, source, name, **options: asked.append((str(source), options["texts"])) or store,
    )
    app = AppTest.from_function(adding, default_timeout=60).run()
    app.segmented_control(key="add.way").set_value("Hugging Face").run()
    app.text_input(key="add.hub").set_value("owner/reviews").run()
    app.text_input(key="add.named.text.hub").set_value("title, body").run()
    app.text_input(key="add.named.label.hub").set_value("stars").run()
    assert not app.exception
    app.button(key="add.go").click().run()
    until(lambda: bool(asked), "the import begins")
    assert asked == [("hf:owner/reviews", TextImport(text_columns=("title", "body"), label_column="stars"))]


def test_a_set_of_texts_offline_is_a_clear_word_on_the_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    app = AppTest.from_function(adding, default_timeout=60).run()
    app.segmented_control(key="add.way").set_value("Hugging Face").run()
    app.text_input(key="add.hub").set_value("owner/reviews").run()
    app.button(key="add.go").click().run()
    found = imports.imports(store)[-1]
    until(lambda: found.over, "the import ends")
    imports.dismiss(found)
    assert "HF_HUB_OFFLINE is set" in found.problems[0].fact
    assert "download its files elsewhere" in found.problems[0].repair
