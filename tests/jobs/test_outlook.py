"""What a run will do, as the page and the command line say it, against the engine and against torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tests.models import stacks
from workbench.engine.batches import batch_sizes
from workbench.jobs.check import check
from workbench.jobs.outlook import CONVOLUTIONS, has_layer, outlook, plan
from workbench.models.build import build
from workbench.specs.inside import patch_grid, reads_text
from workbench.specs.presets import PRESETS, READY, preset
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.ui import stack

SIZES = {"train": 9000, "validation": 1000, "test": 2000}
NORM = "model.layers=[{kind: flatten}, {kind: batch_norm}, {kind: linear, out_features: 10}]"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def test_a_plan_counts_the_last_partial_batch() -> None:
    planned = plan(preset("mlp-tiny").spec.with_changes("training={batch_size: 128, epochs: 5}"), SIZES)
    assert (planned.steps_per_epoch, planned.total_steps) == (71, 355)  # ⌈9000 / 128⌉ = 71
    assert planned.epochs == 5


def test_steps_win_over_epochs() -> None:
    spec = preset("mlp-tiny").spec.with_changes("training={batch_size: 9000, epochs: 5, steps: 7}")
    assert (plan(spec, SIZES).total_steps, plan(spec, SIZES).epochs) == (7, 7)


@pytest.mark.parametrize("n", [1, 2, 64, 65, 127, 128, 129, 8_961, 9_000])
@pytest.mark.parametrize("size", [1, 2, 64, 128])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_plan_counts_the_batches_that_the_engine_cuts(n: int, size: int, batch_norm: bool) -> None:
    spec = preset("mlp-tiny").spec.with_changes(
        f"training.batch_size={size}", *([NORM] if batch_norm else [])
    )
    planned = plan(spec, {**SIZES, "train": n})
    assert planned.steps_per_epoch == len(batch_sizes(n, size, join_single=batch_norm))


@pytest.mark.parametrize("name", sorted(name for name in READY if not reads_text(READY[name].spec.model)))
def test_layers_are_found_inside_blocks_too(name: str) -> None:
    spec = PRESETS[name].spec
    shape = stacks.input_of(name)
    modules = list(build(spec.model, shape).modules())
    assert has_layer(spec, "batch_norm") is any(
        isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in modules
    )
    if patch_grid(spec.model, shape) is None:  # which cut an image with a convolution, and are none
        assert has_layer(spec, *CONVOLUTIONS) is any(isinstance(m, nn.Conv2d) for m in modules)


def told(store: Store, spec: RunSpec, **measured: object) -> dict[str, str]:
    return dict(outlook(store, spec, check(store, spec), measured or None))


def test_the_outlook_says_what_will_happen(store: Store) -> None:
    lines = told(store, preset("mlp-tiny").spec.with_changes("task.class_weights=balanced"))
    assert lines["Data"] == "digits: 1,455 to learn from, 162 to validate on, 180 to test on"
    assert lines["Model"] == "6 layers with 5,794 parameters"
    assert lines["Loss"] == "cross-entropy, rare classes weighing more"
    assert lines["Length"] == (
        "920 updates of 32 images: 20 passes over the training images, 46 updates each"
    )
    assert lines["Validation"] == "20 times, every 46 updates"
    assert "Ends early" not in lines
    assert lines["Time"] == "not known before a preflight"


def test_every_early_end_is_told(store: Store) -> None:
    spec = preset("mlp-tiny").spec.with_changes(
        "training.early_stopping={patience: 3}", "training.stop_at_loss=0.2"
    )
    assert told(store, spec)["Ends early"] == (
        "after 3 validations without a better validation loss, or at a validation loss of 0.2 or below"
    )


def test_a_preflight_adds_the_time(store: Store) -> None:
    assert told(store, preset("mlp-tiny").spec, eta_s=200.0)["Time"] == "about 3 min"


def test_a_model_without_convolutions_promises_no_filters(store: Store) -> None:
    assert told(store, preset("mlp-image").spec)["Watching"].startswith("curves live")
    assert told(store, preset("cnn-mnist").spec)["Watching"].startswith("curves, filters, feature maps live")


def test_the_outlook_counts_layers_as_the_editor_does(store: Store) -> None:
    spec = preset("unet-small").spec
    n = len(stack.places(stack.dump(spec.model)))
    assert told(store, spec)["Model"].startswith(f"{n} layers with ")
    assert n > len(spec.model.layers)  # those in groups too
