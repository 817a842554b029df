"""Variants of a trained run: 8-bit checkpoints made of it, and all of them measured beside each other.

Works in a trial's child, so that it shows how far it is and can be stopped at any moment.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.engine.checkpoint import Checkpoint, from_bytes, to_bytes
from workbench.engine.device import place
from workbench.engine.evaluate import evaluate
from workbench.engine.feeds import feed_for
from workbench.jobs.smaller import SHEET, must_be_comparable, variants
from workbench.models.build import build
from workbench.models.duel import product_of
from workbench.models.int8 import KINDS, loaded, quantised
from workbench.specs.errors import Problem, RunError, WorkbenchError
from workbench.store import RunRow, Store
from workbench.store.checkpoints import INT8
from workbench.tasks.generation import Generation
from workbench.worker.trained import Shelf, Trained

Progress = Callable[[str, float], None]
CALIBRATED_ON = 256  # training samples
BATCH = 32
WARM, MOST_TURNS, ENOUGH_S = 5, 60, 0.6  # of a latency
MOST_ZIPPED = 64 * 2**20  # bytes beyond which nothing is packed to see how small it gets
MARKS = {"segmentation": "iou", "reconstruction": "mse", "generation": "distance"}
THREADS = 1  # of the latencies: what a small server gives one answer


def quantise(store: Store, question: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Make an 8-bit variant of a run: `{"run", "checkpoint", "bytes", "from"}`.

    question: run, how (dynamic or static), checkpoint (None: the best). Raises RunError, DataError.
    """
    how = str(question.get("how"))
    if how not in KINDS:
        raise RunError.of("int8", f"it is one of {', '.join(KINDS)}", f"it is {how[:40]!r}")
    trained = Shelf(store).get(str(question["run"]), question.get("checkpoint"))
    if not trained.checkpoint.is_own:
        raise RunError.of(
            f"run `{trained.row.name}`", "8 bits are made of a float model", "this one has 8 bits already",
            "Choose best or last.",
        )  # fmt: skip
    progress("Looking at training samples" if how == "static" else "Rounding the weights", 0.4)
    tensors = quantised(trained.model, how, _calibration(trained))  # type: ignore[arg-type]
    _try(trained, how, tensors)
    info = trained.checkpoint
    meta = {
        "step": info.step, "epoch": info.epoch, "metrics": {}, "int8": how, "from": info.name,
    }  # fmt: skip
    carried = from_bytes(store.checkpoints.read(trained.row.id, info.name)).meta.get("carried")
    meta |= {} if carried is None else {"carried": carried}
    blob = to_bytes(Checkpoint(tensors, meta))
    progress("Writing it", 0.9)
    name = f"{INT8}{how}"
    store.checkpoints.write(trained.row.id, name, blob, step=info.step, epoch=info.epoch, metrics={})
    return {"run": trained.row.id, "checkpoint": name, "bytes": len(blob), "from": info.name}


def _try(trained: Trained, how: str, tensors: Mapping[str, Tensor]) -> None:
    """One batch through the new variant: nothing is kept that cannot answer. Raises RunError."""
    spec = trained.row.spec
    model = build(spec.model, spec.task.input(trained.data.shape, 0), seed=spec.seed)
    x = next(_calibration(trained), None)
    try:
        small = loaded(model, how, tensors)  # type: ignore[arg-type]
        with torch.inference_mode():
            is_sound = x is None or bool(torch.isfinite(product_of(small)(x)).all())
    except RuntimeError as error:
        raise _cannot(trained, (str(error).splitlines() or [""])[0][:200]) from error
    if not is_sound:
        raise _cannot(trained, "its scores are not finite")


def _cannot(trained: Trained, fact: str) -> RunError:
    return RunError.of(
        f"run `{trained.row.name}`", "its layers must work on 8-bit numbers", fact, "Prune it instead."
    )


def _calibration(trained: Trained) -> Iterator[Tensor]:
    if isinstance(trained.task, Generation):
        yield from _noise(trained.task, CALIBRATED_ON).split(BATCH)
        return
    feed = feed_for(trained.data.train, trained.data, trained.task, torch.device("cpu"), least=trained.least)
    n = min(feed.n, CALIBRATED_ON)
    sizes = [BATCH] * (feed.n // BATCH) + ([feed.n % BATCH] if feed.n % BATCH else [])
    for rows in feed.shuffled(0, 0, sizes)[: -(-n // BATCH)]:
        yield feed.batch(rows)[0]


# ---------------------------------------------------------------- measuring


def measure(store: Store, question: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Every variant beside the original: `{"run", "machine", "threads", "split", "mark", "rows"}`, kept with
    the run. question: run, checkpoint (None: the best).

    A row: kind (original, pruned, student, int8), run, name, checkpoint, state, and where it has a model
    bytes, zipped, parameters, nonzeros, mark, latency_1_ms, latency_32_ms (per sample), problem otherwise.
    """
    shelf = Shelf(store)
    original = shelf.get(str(question["run"]), question.get("checkpoint"))
    row = original.row
    split = "test" if len(original.data.test) else "validation"
    asked: list[tuple[str, RunRow, str | None]] = [("original", row, original.checkpoint.name)]
    asked += [
        ("int8", row, info.name) for info in store.checkpoints.list(row.id) if info.name.startswith(INT8)
    ]
    asked += [(kind, other, None) for kind, other in variants(store, row)]
    rows = []
    for number, (kind, other, checkpoint) in enumerate(asked):
        progress(f"Measuring {other.name[:60]} ({checkpoint or kind})", (number + 0.2) / len(asked))
        facts = {"kind": kind, "run": other.id, "name": other.name, "state": other.state.value}
        try:
            if other.id != row.id:  # before its data and weights are read
                must_be_comparable(store, row, other)
            trained = shelf.get(other.id, checkpoint)
            facts |= {"checkpoint": trained.checkpoint.name, **_measured(store, original, trained, split)}
        except WorkbenchError as error:
            facts |= {"checkpoint": checkpoint or "", "problem": error.problems[0].sentence()}
        except torch.OutOfMemoryError:
            raise  # of the machine, not of the variant
        except (RuntimeError, IndexError, ValueError) as error:  # its model cannot take the samples
            words = (str(error).splitlines() or [type(error).__name__])[0][:200]
            problem = Problem(
                where=f"run `{other.name}`", rule="a model must take the samples it is judged on", fact=words,
                repair="Make the variant anew of this run.",
            )  # fmt: skip
            facts |= {"checkpoint": checkpoint or "", "problem": problem.sentence()}
        rows.append(facts)
    found = {
        "run": row.id, "name": row.name, "checkpoint": original.checkpoint.name, "split": split,
        "samples": len(getattr(original.data, split)), "mark": mark_of(original), "threads": THREADS,
        "unit": getattr(original.data, "unit", "") if original.row.spec.task.kind == "regression" else "",
        "machine": machine(), "time": time.time(), "rows": rows,
    }  # fmt: skip
    store.put_sheet(row.id, SHEET, found)
    return found


def _measured(store: Store, original: Trained, trained: Trained, split: str) -> dict[str, Any]:
    """All figures of one model. It is judged on the original's samples: those of the same split. A forecaster
    sees them under the scale that it was trained on."""
    data, task = original.data, original.task
    if data.kind == "series":
        data, task = data.scaled_as(trained.data.carried), trained.task
    found = evaluate(trained.model, getattr(data, split), data, task, device="cpu", least=original.least)
    used = product_of(trained.model)
    weights = weights_of(used)
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        one, many = latencies(used, _sample(original, split))
    finally:
        torch.set_num_threads(threads)
    return {
        "bytes": sum(t.numel() * t.element_size() for t in weights),
        "zipped": _zipped(weights),
        "parameters": int(sum(t.numel() for t in weights)),
        "nonzeros": int(sum(int(t.count_nonzero()) for t in weights)),
        "value": float(found.marks.get(mark_of(original), found.loss)),
        "latency_1_ms": one,
        "latency_32_ms": many,
    }


def mark_of(trained: Trained) -> str:
    """The mark by which variants are compared: where answers are pictures, what tells most of those."""
    return MARKS.get(trained.row.spec.task.kind, str(trained.task.counted))


def weights_of(model: nn.Module) -> list[Tensor]:
    """The numbers of a model, each once: parameters, statistics of norms, 8-bit weights and scales."""
    kept: dict[int, Tensor] = {}
    for module in model.modules():
        own = getattr(module, "numbers", None)  # an 8-bit layer's
        for tensor in own() if callable(own) else (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None and tensor.ndim:
                kept[id(tensor)] = tensor.detach()
    return list(kept.values())


def _zipped(weights: list[Tensor]) -> int | None:
    """Bytes when packed by deflate, which takes zeros out; None for very many."""
    if sum(t.numel() * t.element_size() for t in weights) > MOST_ZIPPED:
        return None
    packer = zlib.compressobj(6)
    return sum(len(packer.compress(t.contiguous().numpy().tobytes())) for t in weights) + len(packer.flush())


def _sample(trained: Trained, split: str) -> Tensor:
    """A batch of 32 of the split, drawn by a fixed seed; fewer samples are repeated. Of a generator noise."""
    if isinstance(trained.task, Generation):
        return _noise(trained.task, BATCH)
    feed = feed_for(
        getattr(trained.data, split), trained.data, trained.task, torch.device("cpu"), least=trained.least
    )
    n = min(feed.n, BATCH)
    x = feed.batch(feed.shuffled(0, 0, [n, *([feed.n - n] if feed.n > n else [])])[0])[0]
    return x if len(x) == BATCH else x.repeat(-(-BATCH // len(x)), *[1] * (x.ndim - 1))[:BATCH]


def _noise(task: Generation, n: int) -> Tensor:
    """(n, latent), the same each time."""
    return torch.randn(n, task.latent, generator=torch.Generator().manual_seed(0))


def machine() -> str:
    """Cores and processor, for people."""
    name = platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {len(os.sched_getaffinity(0))} cores" if hasattr(os, "sched_getaffinity") else name


def latencies(model: nn.Module, x: Tensor) -> tuple[float, float]:
    """Milliseconds per sample in batches of 1 and of 32 (x's own size): medians of warm turns.

    Processor time of the one thread that computes: on a quiet machine that is the time it takes, and on a
    busy one it does not tell of others' work.
    """
    place(model, torch.device("cpu")).eval()
    return _median_ms(model, x[:1]), _median_ms(model, x) / len(x)


def _median_ms(model: nn.Module, x: Tensor) -> float:
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(WARM):
            model(x)
        began = time.perf_counter()
        while len(times) < MOST_TURNS and (len(times) < 7 or time.perf_counter() - began < ENOUGH_S):
            start = time.thread_time()
            model(x)
            times.append(time.thread_time() - start)
    return 1e3 * statistics.median(times)
