"""The drawing is well-formed, says what the model is, and hides nothing when folded."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import stacks
from workbench.figures.drawing import drawing_info, drawing_svg, first_folds, foldable
from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS, READY, preset
from workbench.ui.drawing import after_click


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("folded", [True, False])
def test_every_preset_is_drawn_whole(name: str, folded: bool) -> None:
    shape = stacks.input_of(name)
    rows = preset(name).spec.model.rows(shape)
    info = drawing_info(rows, shape, foldable(rows) if folded else [])
    blocks = (*info.blocks, *info.decoder)
    assert sum(block.parameters for block in blocks) == preset(name).spec.model.n_params(shape)
    assert sum(block.share for block in blocks) == pytest.approx(1)
    found = texts(drawing_svg(info, PRESETS[name].title))
    assert PRESETS[name].title in found
    assert f"{info.parameters:,} parameters" in found
    for row in rows:
        if row.parameters and not row.children and row.kind in ("conv2d", "linear"):
            assert f"{row.parameters:,}" in found
    kinds = {row.kind for row in rows if not row.children}
    assert kinds <= set(found)


def test_a_folded_group_still_tells_its_size_and_an_unfolded_one_shows_its_layers() -> None:
    rows = preset("resnet-20").spec.model.rows((1, 28, 28))
    folded = texts(drawing_svg(drawing_info(rows, (1, 28, 28), foldable(rows))))
    whole = texts(drawing_svg(drawing_info(rows, (1, 28, 28))))
    assert "repeat × 3" in folded
    assert "6 layers" in folded  # of the stage: a residual with five layers
    assert folded.count("conv2d") == 1
    assert whole.count("conv2d") == 11
    assert f"{rows[3].parameters:,}" in folded


@settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), max_examples=200
)
@given(st.lists(stacks.layers, min_size=1, max_size=5), st.data())
def test_any_stack_that_works_is_drawn_inside_its_sheet(layers, data) -> None:  # type: ignore[no-untyped-def]
    model = ModelSpec(layers=tuple(layers))
    rows = model.rows((3, 12, 12))
    if any(row.out_shape is None for row in rows):
        return
    groups = foldable(rows)
    folds = data.draw(st.lists(st.sampled_from(groups), unique=True)) if groups else []
    tree = ET.fromstring(drawing_svg(drawing_info(rows, (3, 12, 12), folds), '<script>"&'))
    assert all(float(tree.get(side, "0")) > 0 for side in ("width", "height"))
    assert not [node for node in tree.iter() if node.tag.endswith("script")]


def test_large_networks_come_folded_and_small_ones_open() -> None:
    large = preset("resnet-18").spec.model.rows((3, 64, 64))
    small = preset("cnn-mnist").spec.model.rows((1, 28, 28))
    assert first_folds(large) == [row.label for row in large if row.children]
    assert first_folds(small) == []


@pytest.mark.parametrize(
    ("folds", "asked", "after"),
    [([], "1", ["1"]), (["1"], "1", []), (["1"], "2", ["1", "2"]), ([], "all", ["1", "2"]),
     (["1"], "none", []), (["1"], "9", ["1"]), (["1"], "<b>", ["1"])],
)  # fmt: skip
def test_a_click_folds_or_unfolds(folds: list[str], asked: str, after: list[str]) -> None:
    assert after_click(folds, ["1", "2"], asked) == after
