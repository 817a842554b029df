"""The families and techniques, and what becomes of one on the other: two steps, or a refusal before them.

Everything goes the way a person's run goes: a spec is submitted, checked, and worked off by the worker's own
session, in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench import catalog
from workbench.engine.checkpoint import model_tensors
from workbench.engine.fit import fit
from workbench.jobs import folds, smaller
from workbench.jobs.runs import submit
from workbench.jobs.steering import START
from workbench.models.build import build
from workbench.records import Scalars
from workbench.specs.errors import WorkbenchError
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.specs.smaller import Prune
from workbench.store import RunRow, Store
from workbench.worker.start import starting
from workbench.worker.trained import task_of, teacher_for
from workbench.worker.variants import quantise

BRIEF = (
    "training.steps=2", "training.batch_size=4", "training.device=cpu", "training.threads=1",
    "training.epochs=null", "training.early_stopping=null", "watch.samples=2", "watch.probe_images=2",
)  # fmt: skip
IMAGES = ("data.limit=60",)
TEXTS = ("data.limit=60", "data.text.length=12")

RHYME = "rhyme"  # a text of a few lines, in place of the presets' megabyte
LINES = [
    f"The {which} one {does} over the {what}."
    for which in ("red", "shy", "odd") for does in ("ran", "hid", "sat") for what in ("hill", "barn", "dam")
]  # fmt: skip

# family -> the preset that stands for it, what makes that small, and the presets of the same layers
FAMILIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "CNN": (
        "cnn-digits", IMAGES,
        ("cnn-mnist", "cnn-compact", "cnn-rgb", "cnn-small", "cnn-fashion", "vgg-16"),
    ),
    "residual CNN": (
        "resnet-20", (*IMAGES, "data.name=digits"),
        ("resnet-small", "resnet-18", "convnext-mini", "inception-mini"),
    ),
    "dense, images": ("mlp-tiny", IMAGES, ("mlp-image",)),
    "ViT": ("vit-tiny", IMAGES, ("vit-fashion",)),
    "recurrent, images": ("lstm-classifier", IMAGES, ()),
    "text, recurrent": ("text-lstm", TEXTS, ("text-gru",)),
    "text, CNN": ("text-cnn", TEXTS, ()),
    "text, n-grams": ("text-ngrams", TEXTS, ()),
    "text, encoder": ("text-encoder", TEXTS, ("transformer-encoder",)),
    "language model": (
        "gpt-char",
        (
            f"data.name={RHYME}", "model.layers.4.out_features=21", "data.text.length=12",
            "task.sample_tokens=2",
        ),
        ("gpt-bpe",),
    ),
    "seq2seq": (
        "dates-seq2seq", ("data.limit=60", "data.text.length=12", "task.scored=2"), ("transformer-seq2seq",),
    ),
    "seq2seq, LSTM": ("lstm-seq2seq", ("data.limit=60", "data.text.length=12", "task.scored=2"), ()),
    "forecast, linear": ("dlinear", (), ("quantile-forecast",)),
    "forecast, recurrent": ("lstm-forecast", (), ()),
    "forecast, CNN": ("tcn-forecast", (), ()),
    "forecast, encoder": ("encoder-forecast", (), ()),
    "table, dense": ("mlp-table", ("data.limit=200",), ()),
    "S8": ("mlp-big", ("data.limit=200",), ()),
    "table, residual": ("resmlp-table", ("data.limit=200",), ()),
    "table, attention": ("ft-transformer", ("data.limit=200",), ()),
    "U-Net": ("unet-small", IMAGES, ()),
    "autoencoder": ("autoencoder", IMAGES, ()),
    "VAE": ("vae", IMAGES, ()),
    "GAN": ("dcgan", IMAGES, ()),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What became of a technique on a family. problem: of a refusal, (where, rule, fact, repair)."""

    works: bool
    problem: tuple[str, str, str, str] = ("", "", "", "")


def spec_of(family: str, *changes: str) -> RunSpec:
    preset, more, _ = FAMILIES[family]
    return PRESETS[preset].spec.with_changes(*BRIEF, *more, f"name={family}", *changes)


def worked(store: Store, run_id: str) -> RunRow:
    """The run, worked off in this process: the worker's steps without its probes and its process."""
    row = store.runs.get(run_id)
    spec, data = row.spec, _data(store, row.spec)
    model = build(spec.model, spec.task.input(data.shape, 0), seed=spec.seed)
    teacher = teacher_for(store, row, data.shape)
    assert (teacher is None) == (spec.training.distill is None)
    if row.parent is not None:
        saved = model_tensors(store.checkpoints.read(row.id, START))
        model.load_state_dict(starting(model, spec, spec.task.input(data.shape, 0), saved).tensors)
    task, done, losses = task_of(spec, data, data.train.y), 0, []
    for flush in fit(model, data, task, spec, teacher=teacher):
        done = flush.step
        losses += [
            value for record in flush.records if isinstance(record, Scalars) and record.key.endswith("/loss")
            for value in record.values
        ]  # fmt: skip
        for kept in flush.checkpoints:
            store.checkpoints.write(
                row.id, kept.name, kept.blob, step=kept.step, epoch=kept.epoch, metrics=kept.metrics
            )
        store.flush(row.id, flush.records, step=flush.step, epoch=flush.epoch)
    assert done in (1, 2)
    assert len(losses) > done, "training and validation"
    assert np.isfinite(losses).all()
    store.runs.exit(row.id, "finished")
    return store.runs.get(row.id)


_kept: dict[str, Any] = {}  # the newest data, which most runs of a family share


def _data(store: Store, spec: RunSpec) -> Any:
    asked = spec.data.model_dump_json()
    if asked not in _kept:
        _kept.clear()
        _kept[asked] = catalog.load(store, spec.data)
    return _kept[asked]


def _trained(*changes: str) -> Callable[[Store, str, RunRow], None]:
    return lambda store, family, parent: _run(store, spec_of(family, *changes))


def _run(store: Store, spec: RunSpec) -> None:
    worked(store, submit(store, spec))


def _frozen(store: Store, family: str, parent: RunRow) -> None:
    layers = parent.spec.model.numbered
    first = next(i for i, layer in enumerate(layers) if layer.kind in HOLDING)  # type: ignore[attr-defined]
    row = worked(store, submit(store, spec_of(family, f"training.freeze=[{first}]")))
    assert row.spec.training.freeze == (first,)


HOLDING = (
    "conv2d", "linear", "lstm", "gru", "embedding", "patch_embedding", "residual", "parallel", "conv1d",
    "column_embedding", "column_tokens", "skip", "series_linear", "window_norm", "repeat", "conv_transpose2d",
)  # fmt: skip


def _pruned(what: Any) -> Callable[[Store, str, RunRow], None]:
    def prune(store: Store, family: str, parent: RunRow) -> None:
        asked = Prune(what=what, amount=0.5)
        child = store.runs.get(smaller.prune(store, parent.id, asked, epochs=1e-6))
        worked(store, child.id)

    return prune


def _quantised(how: str) -> Callable[[Store, str, RunRow], None]:
    return lambda store, family, parent: quantise(
        store, {"run": parent.id, "how": how}, lambda words, share: None
    ) and None  # fmt: skip


def _taught(store: Store, family: str, parent: RunRow) -> None:
    _run(store, smaller.student(store, parent))


def _folded(store: Store, family: str, parent: RunRow) -> None:
    group, ids = folds.cross_validate(store, spec_of(family), 2)
    for run_id in ids:
        worked(store, run_id)
    found = folds.summary(store, group)
    assert not found.wrong
    assert found.metrics


TECHNIQUES: dict[str, Callable[[Store, str, RunRow], None]] = {
    "bf16": _trained("training.precision=bf16"),
    "fp16": _trained("training.precision=fp16"),
    "accumulation": _trained("training.accumulation_steps=2"),
    "EMA": _trained("training.ema=0.9"),
    "L1": _trained("training.l1=0.001"),
    "L2": _trained("training.optimizer.weight_decay=0.01"),
    "schedule": _trained("training.schedule={kind: one_cycle, warmup: 0.5}"),
    "freezing": _frozen,
    "pruned weights": _pruned("weights"),
    "pruned channels": _pruned("channels"),
    "int8 dynamic": _quantised("dynamic"),
    "int8 static": _quantised("static"),
    "distillation": _taught,
    "folds": _folded,
}


def cell(store: Store, family: str, technique: str, parent: RunRow) -> Cell:
    """Two steps of it, or what refused it. Anything but a refusal in four parts passes through."""
    before = {row.id: row.step for row in store.runs.list()}
    try:
        TECHNIQUES[technique](store, family, parent)
    except WorkbenchError as error:
        problem = error.problems[0]
        stepped = [row.name for row in store.runs.list() if row.id not in before and row.step]
        if stepped:
            raise AssertionError(f"{family}, {technique}: refused after its first step") from error
        return Cell(False, (problem.where, problem.rule, problem.fact, problem.repair))
    return Cell(True)


def prepared(store: Store, folder: Path) -> None:
    """The data that is not shipped."""
    file = folder / f"{RHYME}.txt"
    file.write_text("\n".join(LINES * 6), encoding="utf-8")
    catalog.add(store, file, RHYME, kind="text")


def row_of(store: Store, family: str) -> dict[str, Cell]:
    """What becomes of every technique."""
    parent = worked(store, submit(store, spec_of(family)))
    return {technique: cell(store, family, technique, parent) for technique in TECHNIQUES}


# ---------------------------------------------------------------- the table of docs/seeds.md

PAGE = Path(__file__).resolve().parents[2] / "docs" / "seeds.md"
BEGIN, END = "<!-- techniques: python -m tests.matrix.write -->", "<!-- /techniques -->"


def told(rows: dict[str, dict[str, Cell]]) -> str:
    """The table, and why what does not work is refused."""
    reasons: list[str] = []
    lines = [f"| | {' | '.join(TECHNIQUES)} |", "|---" * (len(TECHNIQUES) + 1) + "|"]
    for family, cells in rows.items():
        marks = []
        for found in cells.values():
            reason = reason_of(found)
            if reason and reason not in reasons:
                reasons.append(reason)
            marks.append(f"no ({reasons.index(reason) + 1})" if reason else "yes")
        lines.append(f"| {family} | {' | '.join(marks)} |")
    return "\n".join([*lines, "", *(f"{i + 1}. {reason}" for i, reason in enumerate(reasons))])


def reason_of(found: Cell) -> str:
    """A refusal as the page gives it: the rule and the repair; facts differ from run to run."""
    if found.works:
        return ""
    _, rule, _, repair = found.problem
    return f"{rule[:1].upper()}{rule[1:]}. {repair}"


def kept_row(page: str, family: str) -> dict[str, str]:
    """technique -> "" where it works, else the reason: as the page says it."""
    part = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in part.splitlines() if line.strip()]
    names = [name.strip() for name in lines[0].strip("|").split("|")][1:]
    reasons = dict(line.split(". ", 1) for line in lines if line[:1].isdigit())
    row = next(line for line in lines if line.startswith(f"| {family} |"))
    marks = [mark.strip() for mark in row.strip("|").split("|")][1:]
    return {
        name: "" if mark == "yes" else reasons[mark.removeprefix("no (").rstrip(")")]
        for name, mark in zip(names, marks, strict=True)
    }
