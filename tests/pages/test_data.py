"""The data page: a set's classes, copies, versions and random changes, as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.data.made import folder, png
from tests.pages.conftest import Opener
from workbench import catalog
from workbench.specs.tables import TableImport
from workbench.store import Store, open_store
from workbench.ui.tables import middles_of
from workbench.worker.preview import augmented

VIEWS = [
    "Samples",
    "Class balance",
    "Statistics",
    "Copies",
    "Hard and odd",
    "Split",
    "Augmentation",
    "Import report",
    "About",
]


@pytest.fixture
def zoo(home: Path, tmp_path: Path) -> Store:
    """Three classes of eight images; one image twice."""
    files = {f"{c}/{i}.png": png(10 * k + i) for k, c in enumerate(("ant", "bee", "cat")) for i in range(8)}
    store = open_store()
    catalog.add(store, folder(tmp_path / "zoo", files | {"bee/again.png": png(0)}), "zoo")
    return store


def drafted(app: AppTest, section: str = "data") -> dict[str, Any]:
    """A block of the draft in the URL."""
    value = app.query_params["draft"]
    text = open_store().drafts.get(value if isinstance(value, str) else value[0])
    assert text
    found: dict[str, Any] = json.loads(text)["spec"][section]
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["zoo", "digits"])
def test_every_view_opens(visit: Opener, zoo: Store, name: str, view: str) -> None:
    app = visit("data", set=name, view=view)
    assert not app.error
    assert not app.exception


def test_images_without_classes_are_shown_dropped_and_taken_up_by_an_autoencoder(
    visit: Opener, zoo: Store, tmp_path: Path
) -> None:
    catalog.add(zoo, folder(tmp_path / "photos", {f"{i}.png": png(i % 8) for i in range(9)}), "photos")
    for view in ("Statistics", "Copies", "Split", "Import report", "About"):
        app = visit("data", set="photos", view=view)
        assert not app.exception, view
        assert not app.error, view
        if view == "Import report":  # whole sentences, no cut cells
            assert any("one folder per class" in why for why in app.table[0].value["Why"])
    app = visit("data", set="photos", view="Samples")
    assert not {"Class balance", "Hard and odd"} & {tab.label for tab in app.tabs}
    app.toggle(key="changing.photos").set_value(True).run()
    app.checkbox(key="relabel.photos.1.8").check().run()
    app.button(key="relabel.photos.1.drop").click().run()
    assert zoo.datasets.get("photos").rows == 8
    app.button(key="use").click().run()
    assert app.title[0].value == "Model"
    assert drafted(app, "task")["kind"] == "reconstruction"
    assert drafted(app)["name"] == "photos"


def test_a_class_is_renamed_in_a_new_version(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="zoo", view="Class balance")
    app.selectbox(key="classes.zoo.1.old").select("bee")
    app.text_input(key="classes.zoo.1.new").input("wasp").run()
    app.button(key="classes.zoo.1.go").click().run()
    row = zoo.datasets.get("zoo")
    assert (row.version, row.schema.classes) == (2, ("ant", "wasp", "cat"))
    assert not app.error


def test_classes_are_merged_and_dropped(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="zoo", view="Class balance")
    app.segmented_control(key="classes.zoo.1.action").select("Merge").run()
    app.multiselect(key="classes.zoo.1.some").select("ant").select("bee").run()
    app.button(key="classes.zoo.1.go").click().run()
    assert zoo.datasets.get("zoo").schema.classes == ("ant", "cat")
    app.segmented_control(key="classes.zoo.2.action").select("Drop").run()
    app.multiselect(key="classes.zoo.2.drop").select("cat").run()
    app.button(key="classes.zoo.2.go").click().run()
    assert "at least two classes" in app.error[0].value
    assert zoo.datasets.get("zoo").version == 2


def test_a_sample_is_relabelled(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="zoo", view="Samples")
    app.toggle(key="changing.zoo").set_value(True).run()
    app.checkbox(key="relabel.zoo.1.0").check().run()
    app.selectbox(key="relabel.zoo.1.to").select("cat").run()
    app.button(key="relabel.zoo.1.go").click().run()
    assert zoo.datasets.get("zoo").version == 2
    assert catalog.class_balance(zoo, "zoo") == {"train": [7, 9, 9]}


def test_copies_are_dropped(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="zoo", view="Copies")
    app.button(key="copies.drop").click().run()
    assert zoo.datasets.get("zoo").rows == 24
    assert "No image occurs twice" in app.success[0].value


def test_a_former_version_comes_back(visit: Opener, zoo: Store) -> None:
    catalog.drop_classes(zoo, "zoo", ["ant"])
    app = visit("data", set="zoo", view="About")
    app.button(key="restore.1").click().run()
    row = zoo.datasets.get("zoo")
    assert (row.version, len(row.schema.classes)) == (3, 3)


def test_a_shipped_set_is_changed_as_a_copy(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="digits", view="Class balance")
    assert not any("classes.digits" in (b.key or "") for b in app.button)
    app.button(key="set.copy").click().run()
    assert app.selectbox(key="set").value == "digits-2"
    assert zoo.datasets.get("digits-2").rows == 1797


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are answered by the answering side's own code, in this process instead of the warm one."""

    def ask(store: Store, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert verb == "augment"
        return augmented(store, payload)

    monkeypatch.setattr("workbench.ui.preview.ask", ask)


def test_random_changes_are_shown_and_kept_for_the_next_run(
    visit: Opener, zoo: Store, answered: None
) -> None:
    """Two are added, one after the other, on a set that the draft did not have before."""
    app = visit("data", set="zoo", view="Augmentation")
    for kind in ("flip", "noise"):
        box = next(b for b in app.selectbox if ".add." in (b.key or ""))
        box.select(kind).run()
    kept = drafted(app)
    assert kept["name"] == "zoo"
    assert [op["kind"] for op in kept["augment"]] == ["flip", "noise"]
    assert not app.error
    assert any("Before and after" in m.value for m in app.markdown)
    next(b for b in app.button if (b.key or "").endswith(".again")).click().run()
    assert any("below as the model sees it" in c.value for c in app.caption)
    assert not app.error


def test_groups_that_a_set_lacks_are_told_on_the_split(visit: Opener, zoo: Store) -> None:
    app = visit("data", set="zoo", view="Split")
    box = next(b for b in app.selectbox if (b.key or "").endswith(".groups"))
    box.select("given").run()
    assert "without a column of groups" in app.error[0].value


def _adding() -> None:
    from workbench.ui.adding import add_form

    add_form()


def test_another_target_of_a_table_is_for_what_it_is_and_a_name_that_cannot_be_is_told_in_the_dialog(
    visit: Opener, home: Path, tmp_path: Path
) -> None:
    rows = [
        f"{20 + i % 40};{i * 7.25 % 911:.2f};{'yes' if i % 3 else 'no'}".replace(".", ",") for i in range(80)
    ]
    (tmp_path / "customers.csv").write_text("age;sales <b>(€)</b>;left\n" + "\n".join(rows))
    app = AppTest.from_function(_adding, default_timeout=60).run()
    app.segmented_control(key="add.way").set_value("Folder on this server").run()
    app.text_input(key="add.path").set_value(str(tmp_path / "customers.csv")).run()
    target, task = (
        lambda: next(box for box in app.multiselect if (box.key or "").startswith("add.table.target")),
        lambda: next(box for box in app.selectbox if (box.key or "").startswith("add.table.task")),
    )
    assert (target().value, task().value) == (["left"], "classification")
    target().set_value(["sales <b>(€)</b>"]).run()
    assert task().value == "regression"  # a thousand classes, one for each number, were made of it
    task().set_value("classification").run()
    assert task().value == "classification"  # what is chosen stands
    name = next(box for box in app.text_input if (box.key or "").startswith("add.name"))
    name.set_value("my customers").run()
    assert "Try “my" in app.error[0].value
    assert app.button(key="add.go").disabled
    assert not app.exception
    told = TableImport(target=("sales <b>(€)</b>",))
    catalog.add(open_store(), tmp_path / "customers.csv", "customers", kind="table", table=told)
    facts = next(
        e.proto.body for e in visit("data", set="customers").get("html") if "is told" in e.proto.body
    )
    assert "<b>sales &lt;b&gt;(€)&lt;/b&gt;</b>" in facts  # a stranger's name is no markup


def test_bins_of_a_target_have_short_and_different_middles() -> None:
    assert middles_of([0, 86.988, 173.976]) == [43, 130]
    assert middles_of([1e-7, 3e-7, 5e-7]) == [2e-7, 4e-7]
    assert middles_of([1000.01, 1000.03, 1000.05]) == [1000.02, 1000.04]


def test_how_a_series_is_cut_before_it_is_used_goes_with_it(visit: Opener, home: Path) -> None:
    app = visit("data", set="sunspots", view="Split")

    def box(label: str) -> Any:
        return next(one for one in app.number_input if one.label == label)

    assert (box("Look back (steps)").value, box("Horizon (steps)").value) == (132, 12)  # as a new run has it
    box("Look back (steps)").set_value(60).run()
    box("Horizon (steps)").set_value(24).run()
    box("Validation share").set_value(0.3).run()
    assert (box("Look back (steps)").value, box("Horizon (steps)").value) == (60, 24)
    assert any("a new run of this set begins with it" in one.value for one in app.caption)
    app.button(key="use").click().run()
    data = drafted(app)
    assert (data["series"]["look_back"], data["series"]["horizon"], data["validation"]) == (60, 24, 0.3)
    assert not app.error
