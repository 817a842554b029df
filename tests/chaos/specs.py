"""Small runs that are worth killing: dropout, schedules, averages, and checkpoints large enough to hit."""

from __future__ import annotations

from workbench.specs.run import RunSpec, from_dict

DIGITS_PER_EPOCH = 46  # 1,455 images in batches of 32


def _spec(name: str, layers: str, epochs: float, *changes: str) -> RunSpec:
    spec = from_dict({"name": name, "data": {"name": "digits"}})
    return spec.with_changes(
        f"model.layers={layers}", "training.batch_size=32", f"training.epochs={epochs}",
        "training.threads=1", "training.device=cpu", *changes,
    )  # fmt: skip


def victims(length: float = 1.0) -> list[RunSpec]:
    """Three kinds of runs of a few seconds each. length: 2 makes them twice as long."""
    return [
        _spec(  # quick steps, many flushes: kills land in database writes
            "quick",
            "[{kind: flatten}, {kind: linear, out_features: 48}, {kind: relu}, {kind: dropout, p: 0.2},"
            " {kind: linear, out_features: 10}]",
            220 * length,
            "training.optimizer={kind: sgd, lr: 0.05, momentum: 0.9}", "training.schedule={kind: cosine}",
            "training.validate_every=1",
        ),
        _spec(  # 25 MB a checkpoint, which is written as often as the engine allows
            "wide",
            "[{kind: flatten}, {kind: linear, out_features: 1024}, {kind: relu},"
            " {kind: linear, out_features: 1024}, {kind: relu}, {kind: dropout, p: 0.1},"
            " {kind: linear, out_features: 10}]",
            16 * length,
            "training.optimizer={kind: adamw, lr: 0.001}", "training.schedule={kind: one_cycle}",
            "training.validate_every=0.25", "training.ema=0.99",
        ),
        _spec(  # batch norm, filters and maps: pictures are written too
            "pictures",
            "[{kind: conv2d, out_channels: 12, padding: 1}, {kind: batch_norm}, {kind: relu},"
            " {kind: max_pool2d}, {kind: flatten}, {kind: dropout, p: 0.1},"
            " {kind: linear, out_features: 10}]",
            30 * length,
            "training.optimizer={kind: adam, lr: 0.002}", "training.schedule={kind: plateau, patience: 2}",
            "training.validate_every=1", "training.clip_norm=1.0",
        ),
    ]  # fmt: skip
