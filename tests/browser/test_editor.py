"""The layer editor in a real browser: typing, marks and repairs, keys, dragging, undo, reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

CNN = [
    "conv2d", "relu", "max_pool2d", "conv2d", "relu", "max_pool2d", "flatten", "linear", "relu", "linear",
]  # fmt: skip


@pytest.fixture
def editor(app, page: Page) -> Locator:  # type: ignore[no-untyped-def]
    """The editor on a fresh draft: the preset cnn-mnist on 28×28 grey images."""
    page.goto(f"{app.url}/model")
    found = page.locator(".wb-editor")
    expect(found).to_have_attribute("data-parameters", "225034", timeout=30_000)
    return found


def row(editor: Locator, index: int) -> Locator:
    return editor.locator(".row").nth(index)


def field(editor: Locator, index: int, name: str) -> Locator:
    return row(editor, index).locator(f"[data-name={name}]")


def shape(editor: Locator, index: int) -> Locator:
    return row(editor, index).locator(".shape")


def expect_kinds(editor: Locator, kinds: list[str]) -> None:
    expect(editor.locator(".row")).to_have_count(len(kinds))
    for index, kind in enumerate(kinds):
        expect(row(editor, index)).to_have_attribute("data-kind", kind)


def test_shapes_and_parameters_follow_while_typing(editor: Locator) -> None:
    field(editor, 0, "out_channels").fill("16")
    expect(shape(editor, 0)).to_have_text("16×26×26")
    expect(shape(editor, 2)).to_have_text("16×13×13")
    expect(row(editor, 0).locator(".params > span")).to_have_text("160")  # 16 · (1 · 3 · 3 + 1)
    expect(editor).to_have_attribute("data-parameters", "215658")


def test_fast_typing_is_never_overwritten_by_an_older_answer(editor: Locator) -> None:
    kernels = field(editor, 3, "out_channels")
    kernels.fill("")
    kernels.press_sequentially("123", delay=180)  # slower than the debounce: answers come in between
    expect(kernels).to_have_value("123")
    expect(shape(editor, 3)).to_have_text("123×11×11")
    expect(kernels).to_be_focused()


def test_a_fault_is_marked_with_its_rule_and_mended_with_one_click(editor: Locator) -> None:
    row(editor, 6).get_by_label(re.compile("^Remove")).click()
    note = row(editor, 6).locator(".note")
    expect(note).to_contain_text(
        "Linear needs a vector (D,), but it gets 64×5×5. Put a flatten layer before it."
    )
    expect(editor).to_have_attribute("data-ok", "false")
    expect(shape(editor, 8)).to_have_text("—")
    field(editor, 8, "out_features").fill("11")  # rows behind the fault stay editable
    note.get_by_role("button", name="Insert flatten before it").click()
    expect_kinds(editor, CNN)
    row(editor, 9).get_by_role("button", name="Set out_features to 10").click()
    expect(editor).to_have_attribute("data-ok", "true")


def test_a_value_out_of_bounds_is_marked_at_its_field(editor: Locator) -> None:
    kernel = field(editor, 0, "kernel_size")
    kernel.fill("99")
    expect(row(editor, 0).locator(".note")).to_contain_text("kernel_size must be 1 to 31, but it is 99.")
    expect(kernel).to_have_attribute("aria-invalid", "true")
    kernel.fill("5")
    expect(row(editor, 0).locator(".note")).to_have_count(0)
    expect(shape(editor, 0)).to_have_text("32×24×24")


def test_layers_are_added_by_name_and_moved_by_keys(editor: Locator, page: Page) -> None:
    editor.get_by_role("button", name="Add layer").click()
    page.keyboard.type("drop")
    page.keyboard.press("Enter")
    expect(row(editor, 10)).to_have_attribute("data-kind", "dropout")
    expect(row(editor, 10)).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect_kinds(editor, [*CNN[:9], "dropout", "linear"])
    page.keyboard.press("Control+d")
    expect_kinds(editor, [*CNN[:9], "dropout", "dropout", "linear"])
    page.keyboard.press("Delete")
    page.keyboard.press("ArrowUp")
    expect(row(editor, 9)).to_be_focused()
    page.keyboard.press("Delete")
    expect_kinds(editor, [*CNN[:9], "linear"])


def test_undo_and_redo_walk_through_every_edit(editor: Locator, page: Page) -> None:
    kernels = field(editor, 0, "out_channels")
    kernels.fill("8")
    expect(shape(editor, 0)).to_have_text("8×26×26")
    row(editor, 1).get_by_label(re.compile("^Remove")).click()
    expect(editor.locator(".row")).to_have_count(9)
    page.keyboard.press("Control+z")
    expect_kinds(editor, CNN)
    editor.get_by_label("Undo").click()
    expect(shape(editor, 0)).to_have_text("32×26×26")
    editor.get_by_label("Redo").click()
    expect(kernels).to_have_value("8")
    expect(shape(editor, 0)).to_have_text("8×26×26")


def test_a_layer_is_dragged_to_another_place(editor: Locator, page: Page) -> None:
    grip, goal = row(editor, 1).locator(".grip").bounding_box(), row(editor, 3).bounding_box()
    assert grip
    assert goal
    page.mouse.move(grip["x"] + 6, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(goal["x"] + 6, goal["y"] + goal["height"] - 3, steps=6)
    page.mouse.up()
    expect_kinds(editor, ["conv2d", "max_pool2d", "conv2d", "relu", *CNN[4:]])
    expect(shape(editor, 1)).to_have_text("32×13×13")


def test_every_edit_survives_a_reload(editor: Locator, page: Page) -> None:
    field(editor, 0, "out_channels").fill("24")
    expect(shape(editor, 0)).to_have_text("24×26×26")
    address = page.url
    assert "draft=" in address
    page.reload()
    expect(field(editor, 0, "out_channels")).to_have_value("24", timeout=15_000)
    assert page.url == address


def test_a_preset_replaces_the_stack_and_undo_brings_it_back(editor: Locator, page: Page) -> None:
    field(editor, 0, "out_channels").fill("24")
    expect(shape(editor, 0)).to_have_text("24×26×26")
    page.get_by_role("combobox", name="Start from").click()
    page.get_by_role("option", name="Dense layers only").click()
    expect(editor).to_have_attribute("data-layers", "6")
    editor.get_by_label("Undo").click()
    expect(field(editor, 0, "out_channels")).to_have_value("24")
    expect(shape(editor, 0)).to_have_text("24×26×26")


def test_the_editor_fits_a_narrow_window(editor: Locator, page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 900})
    box = editor.bounding_box()
    assert box
    wide = editor.evaluate(
        "e => Math.max(...[...e.querySelectorAll('.row *')].map(n => n.getBoundingClientRect().right))"
    )
    assert wide <= box["x"] + box["width"] + 1
