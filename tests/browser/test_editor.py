"""The layer editor in a real browser: typing, marks and repairs, keys, dragging, undo, reload."""

from __future__ import annotations

import re

import pytest
from PIL import Image
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
    expect(found).to_have_attribute("data-parameters", "225034", timeout=60_000)
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


def test_a_click_is_not_lost_when_an_answer_comes_between_its_press_and_its_end(
    editor: Locator, page: Page
) -> None:
    row(editor, 6).get_by_label(re.compile("^Remove")).click()
    button = row(editor, 6).get_by_role("button", name="Insert flatten before it")
    box = button.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    field(editor, 6, "out_features").fill("99")
    page.mouse.down()
    page.wait_for_timeout(1500)
    page.mouse.up()
    expect_kinds(editor, CNN)
    expect(field(editor, 7, "out_features")).to_have_value("99")


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
    expect(field(editor, 0, "out_channels")).to_have_value("24", timeout=60_000)
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


# ---------------------------------------------------------------- groups


def choose(page: Page, title: str) -> None:
    page.get_by_role("combobox", name="Start from").click()
    page.keyboard.type(title)
    page.get_by_role("option", name=title).first.click()


def add(editor: Locator, page: Page, name: str) -> None:
    editor.get_by_role("button", name="Add layer", exact=True).click()
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def test_a_group_is_folded_edited_inside_and_taken_apart(editor: Locator, page: Page) -> None:
    choose(page, "ResNet-20")
    expect(editor).to_have_attribute("data-parameters", "272186")
    stage = row(editor, 3)
    expect(stage).to_have_attribute("data-kind", "repeat")
    rows = editor.locator(".row").count()
    stage.locator(".fold").click()
    expect(row(editor, 4)).to_have_attribute("data-kind", "residual")
    inner = row(editor, 5)
    expect(inner.locator(".ix")).to_have_text("3.0.0")
    inner.locator("[data-name=out_channels]").fill("8")
    expect(inner.locator(".shape")).to_have_text("8×28×28")
    expect(editor).not_to_have_attribute("data-parameters", "272186")
    inner.locator("[data-name=out_channels]").fill("16")
    expect(editor).to_have_attribute("data-parameters", "272186")
    stage.locator(".fold").click()
    expect(editor.locator(".row")).to_have_count(rows)
    editor.get_by_label("Take its layers out of the group").first.click()
    expect(row(editor, 3)).to_have_attribute("data-kind", "residual")


def test_a_fault_inside_a_folded_group_unfolds_it_and_is_mended_there(editor: Locator, page: Page) -> None:
    choose(page, "ResNet-20")
    expect(editor).to_have_attribute("data-parameters", "272186")
    field(editor, 3, "times").fill("99")
    expect(row(editor, 3).locator(".note")).to_contain_text(
        re.compile("times must be 1 to 64, but it is 99", re.I)
    )
    row(editor, 3).get_by_role("button", name="Set times to 64").click()
    expect(field(editor, 3, "times")).to_have_value("64")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(editor).to_have_attribute("data-parameters", "272186")
    row(editor, 3).locator(".fold").click()
    row(editor, 4).locator(".fold").click()  # fold the residual inside the stage again
    row(editor, 4).locator(".fold").click()
    row(editor, 5).locator("[data-name=padding]").fill("0")
    expect(row(editor, 4).locator(".note")).to_contain_text("A residual adds two results of the same shape")
    row(editor, 4).get_by_role("button", name="Pad the layers").click()
    expect(row(editor, 5).locator("[data-name=padding]")).to_have_value("1")
    expect(editor).to_have_attribute("data-ok", "true")


def test_several_rows_are_chosen_wrapped_copied_and_pasted_into_another_design(
    app,
    editor: Locator,
    page: Page,  # type: ignore[no-untyped-def]
) -> None:
    row(editor, 3).locator(".ix").click()
    page.keyboard.press("Shift+ArrowDown")
    expect(editor.locator(".bulk")).to_contain_text("2 layers chosen")
    page.keyboard.press("Control+c")
    editor.get_by_role("button", name="Into a residual").click()
    expect_kinds(editor, [*CNN[:3], "residual", "conv2d", "relu", *CNN[5:]])
    expect(row(editor, 4).locator(".ix")).to_have_text("3.0")
    note = row(editor, 3).locator(".note")
    expect(note).to_contain_text("Pad the layers so that they keep the size")
    note.get_by_role("button").click()
    expect(editor).to_have_attribute("data-ok", "true")
    page.goto(f"{app.url}/model?draft=another-design")
    expect(editor).to_have_attribute("data-parameters", "225034", timeout=60_000)
    row(editor, 0).locator(".ix").click()
    page.keyboard.press("Control+v")
    expect_kinds(editor, ["conv2d", "conv2d", "relu", *CNN[1:]])
    page.keyboard.press("Control+z")
    expect_kinds(editor, CNN)


def test_branches_are_added_and_filled(editor: Locator, page: Page) -> None:
    row(editor, 2).locator(".ix").click()
    page.keyboard.press("+")
    page.keyboard.type("parallel")
    page.keyboard.press("Enter")
    expect(row(editor, 3)).to_have_attribute("data-kind", "parallel")
    expect(shape(editor, 3)).to_have_text("32×13×13")
    editor.get_by_role("button", name="+ branch").click()
    expect(editor.locator(".slot").nth(2)).to_contain_text("empty: passes its input on")
    expect(shape(editor, 3)).to_have_text("64×13×13")
    editor.get_by_label("Add a layer to branch 3").click()
    page.keyboard.type("max_pool2d")
    page.keyboard.press("Enter")
    note = row(editor, 3).locator(".note")
    expect(note).to_contain_text("Branches must give the same image size")
    note.get_by_role("button", name="Remove branch 3").click()
    expect(editor.locator(".slot b")).to_have_text(["Branch 1", "Branch 2"])
    expect(editor).to_have_attribute("data-ok", "true")


def test_a_network_is_built_from_nothing_with_marks_and_repairs_alone(editor: Locator, page: Page) -> None:
    choose(page, "An empty stack")
    expect(editor).to_have_attribute("data-layers", "0")
    for name in ("linear", "residual", "conv_transpose2d", "squeeze"):
        add(editor, page, name)
    for _ in range(20):
        expect(editor).to_have_attribute("data-acked", editor.get_attribute("data-seq") or "", timeout=60_000)
        if editor.get_attribute("data-ok") == "true":
            break
        editor.locator(".note.error .fix").first.click()
    expect(editor).to_have_attribute("data-ok", "true")
    expect(editor.locator(".exit")).to_contain_text("one score for each of 10 classes")


def test_the_drawing_folds_and_is_handed_over(editor: Locator, page: Page) -> None:
    choose(page, "ResNet-20")
    expect(editor).to_have_attribute("data-parameters", "272186")
    page.get_by_role("tab", name="Drawing").click()
    drawing = page.locator(".wb-drawing")
    expect(drawing.locator("svg text", has_text="repeat × 3").first).to_be_visible()
    folded = int(drawing.get_attribute("data-folded") or 0)
    drawing.locator("[data-fold='3']").click()
    expect(drawing).to_have_attribute("data-folded", str(folded - 1))
    with page.expect_download() as svg:
        drawing.get_by_label("Download the drawing as SVG").click()
    assert svg.value.suggested_filename == "ResNet-20-for-small-images.svg"
    assert "272,186 parameters" in svg.value.path().read_text(encoding="utf-8")
    with page.expect_download() as png:
        drawing.get_by_label("Download the drawing as PNG").click()
    picture = Image.open(png.value.path())
    assert picture.width > 800
    assert len(picture.convert("RGB").getcolors(10**7) or []) > 20  # there is ink on it


def test_a_link_carries_the_design(app, editor: Locator, page: Page) -> None:  # type: ignore[no-untyped-def]
    field(editor, 0, "out_channels").fill("24")
    expect(shape(editor, 0)).to_have_text("24×26×26")
    before = page.url
    page.get_by_role("tab", name="Link").click()
    code = page.locator("[data-testid=stCode] code")
    expect(code).to_contain_text("design=")
    page.goto(f"{app.url}/model?design={code.inner_text().partition('design=')[2].strip()}")
    expect(field(editor, 0, "out_channels")).to_have_value("24", timeout=60_000)
    assert "design=" not in page.url
    assert "draft=" in page.url
    assert page.url.partition("draft=")[2][:8] not in before
