"""Only what differs is told, and seeds are recognised as one experiment."""

from __future__ import annotations

from workbench.specs.diff import differences, same_but_seed
from workbench.specs.likeness import like
from workbench.specs.presets import PRESETS, preset
from workbench.specs.run import RunSpec

BASE = preset("cnn-mnist").spec


def tree(spec: RunSpec) -> dict[str, object]:
    return spec.model_dump(mode="json")


def test_equal_specs_differ_in_nothing() -> None:
    assert differences([tree(BASE), tree(BASE)]) == []


def test_changed_fields_are_told_and_nothing_else() -> None:
    other = BASE.with_changes("training.optimizer.lr=0.01", "seed=7", "model.layers.0.out_channels=16")
    found = {row.path: row.values for row in differences([tree(BASE), tree(other), tree(BASE)])}
    assert found == {
        "seed": ("0", "7", "0"),
        "training.optimizer.lr": ("0.001", "0.01", "0.001"),
        "model.layers[0].out_channels": ("32", "16", "32"),
    }


def test_a_field_that_one_spec_lacks_is_told_as_missing() -> None:
    other = BASE.with_changes("training.optimizer={kind: sgd, lr: 0.001, momentum: 0.9}")
    found = {row.path: row.values for row in differences([tree(BASE), tree(other)])}
    assert found["training.optimizer.kind"] == ("adam", "sgd")
    assert found["training.optimizer.momentum"] == (None, "0.9")


def test_other_stacks_are_compared_as_a_whole() -> None:
    found = {row.path: row.values for row in differences([tree(BASE), tree(preset("mlp-tiny").spec)])}
    assert not any(path.startswith("model.layers[") for path in found)
    assert str(found["model.layers"][0]).startswith("conv2d 32 · relu · max_pool2d")


def test_runs_that_differ_only_in_the_seed_are_one_group() -> None:
    specs = {
        "a": tree(BASE),
        "b": tree(BASE.with_changes("seed=1", "name=second")),
        "c": tree(BASE.with_changes("seed=2", "training.epochs=9")),
        "d": tree(BASE.with_changes("seed=3")),
    }
    assert same_but_seed(specs) == [("a", "b", "d")]


def test_the_same_run_twice_is_no_group_of_seeds() -> None:
    assert same_but_seed({"a": tree(BASE), "b": tree(BASE)}) == []


def test_a_model_is_like_its_preset_whatever_the_number_of_classes() -> None:
    assert like(BASE.model) in PRESETS
    last = len(BASE.model.layers) - 1
    more = BASE.with_changes(f"model.layers.{last}.out_features=37")
    assert like(more.model) == like(BASE.model)
    other = BASE.with_changes("model.layers.0.out_channels=31")
    assert like(other.model) == "cnn, 10 layers"
