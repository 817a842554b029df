"""Weights from elsewhere on the model page: taken onto the design, told key by key, begun with and let go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Opener
from workbench.models.build import build
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.store import open_store
from workbench.worker.importing import import_weights

SPEC = PRESETS["cnn-mnist"].spec  # what a new draft begins as


def drafted(page: AppTest) -> RunSpec:
    name = page.query_params["draft"]
    text = open_store().drafts.get(name if isinstance(name, str) else name[0])
    assert text
    return RunSpec.model_validate(json.loads(text)["spec"])


@pytest.fixture
def imported(home: Path, tmp_path: Path) -> str:
    state = build(SPEC.model, (1, 28, 28), seed=3).state_dict()
    save_file({f"module.{name}": value for name, value in state.items()}, tmp_path / "theirs.safetensors")
    report = import_weights(open_store(), tmp_path / "theirs.safetensors", SPEC)
    assert report["ok"]
    return str(report["name"])


def test_what_was_imported_is_begun_with_and_let_go(imported: str, visit: Opener) -> None:
    page = visit("model", form="Weights")
    page.button(key="weights.known.go").click().run()
    assert not page.exception
    assert drafted(page).training.start_weights == imported
    assert any(imported in text.value for text in page.markdown)
    page.button(key="weights.fresh").click().run()
    assert drafted(page).training.start_weights is None


def test_a_report_tells_every_tensor(tmp_path: Path) -> None:
    def view() -> None:
        from workbench.ui.weights import show_report

        lines = [
            {"what": "renamed", "ours": "0.weight", "theirs": "conv.weight", "shape": [4, 1, 3, 3],
             "their_shape": [4, 1, 3, 3]},
            {"what": "missing", "ours": "6.bias", "theirs": "", "shape": [10], "their_shape": None},
        ]  # fmt: skip
        show_report({"ok": False, "taken": 36, "parameters": 46, "warnings": ["a doubt"], "lines": lines})

    page = AppTest.from_function(view).run()
    assert [w.value for w in page.warning] == [
        "36 of 46 numbers of the model come from the file. The rest is drawn anew.", "a doubt",
    ]  # fmt: skip
    told = page.dataframe[0].value
    assert list(told[""]) == ["by order and shape", "missing in the file"]
    assert list(told["Shape"]) == ["4×1×3×3", "10"]


def test_an_upload_is_laid_onto_the_design_by_the_answering_side(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.jobs import answers
    from workbench.ui import weights
    from workbench.worker.answering import Answers

    store = open_store()
    torch.save(build(SPEC.model, (1, 28, 28), seed=3).state_dict(), tmp_path / "x.pt")
    monkeypatch.setattr(
        answers, "ask", lambda store, verb, payload, timeout_s: Answers(store).answer(verb, payload)
    )
    monkeypatch.setattr(weights, "store", lambda: store)
    report = weights._imported(SPEC, (tmp_path / "x.pt").read_bytes(), "../../their net.pt")
    assert report["ok"]
    assert store.weights.names() == ["their-net"]
