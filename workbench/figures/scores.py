"""Final and best values of several runs side by side, the best of each column marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workbench.records import LOWER_IS_BETTER

FIRST = (
    "val/accuracy", "val/iou", "val/dice", "val/explained", "val/distance", "val/bleu", "val/exact_match",
    "val/f1", "val/perplexity", "val/rmse", "val/mase", "val/loss", "train/accuracy", "train/loss",
)  # fmt: skip
HIGHER = (
    "accuracy", "top5", "precision", "recall", "f1", "auroc", "pr_auc", "bleu", "chrf", "exact_match", "iou",
    "dice", "psnr", "explained",
)  # fmt: skip
Metrics = Mapping[str, Mapping[str, float]]


class Column(NamedTuple):
    """values: one a run, None where it has none; winners: places of the best (none without an order)."""

    key: str
    kind: str  # "best" or "last"
    values: tuple[float | None, ...]
    winners: frozenset[int]


def scores_info(metrics: Sequence[Metrics], extra: str = "", *, one_loss: bool = True) -> list[Column]:
    """Best and last of the headline metrics that any of the runs has, and of `extra`. one_loss: whether the
    runs' losses measure the same; where they do not, none of them is better."""
    keys = [key for key in dict.fromkeys((*FIRST, extra)) if any(key in run for run in metrics)]
    columns = []
    for key in keys:
        for kind in ("best", "last"):
            values = tuple(run.get(key, {}).get(kind) for run in metrics)
            if any(value is not None for value in values):
                apart = key.endswith("loss") and not one_loss
                columns.append(Column(key, kind, values, frozenset() if apart else winners(key, values)))
    return columns


def winners(key: str, values: Sequence[float | None]) -> frozenset[int]:
    """Smallest of losses, largest of accuracies; of other keys none is better. One alone wins nothing."""
    known = {i: v for i, v in enumerate(values) if v is not None and v == v}
    if len(known) < 2 or not key.endswith((*LOWER_IS_BETTER, *HIGHER)):
        return frozenset()
    best = min(known.values()) if key.endswith(LOWER_IS_BETTER) else max(known.values())
    return frozenset(i for i, value in known.items() if value == best)
