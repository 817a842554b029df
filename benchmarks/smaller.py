"""Smaller models of a CNN on real pictures: what they weigh, what they know, how quick they are.

    python -m benchmarks.smaller [--seeds 3] [--only variants|speed|processes]

Fashion-MNIST, 12,000 training images and all 10,000 of the test (../shared/data, or WORKBENCH_SHARED_DATA),
the preset `cnn-mnist` for four epochs, students for eight. Everything through the product's own command line.
The second part times 8-bit models of several presets with fresh weights against their floats; the third
trains one spec with one process and with two, taking turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.command import SHARED, call
from benchmarks.launch import leave
from benchmarks.report import Figure, report
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.store import open_store

DATA = "fashion-mnist"
EPOCHS, STUDENT_EPOCHS, LIMIT = 4, 8, 12_000
POINT = 0.01
# what -> the words of `workbench shrink`; a student is trained by `train`
MADE = {
    "50 % of the weights pruned, 1 epoch": ["--prune", "0.5", "--finetune", "1"],
    "50 % of the channels pruned, 2 epochs": ["--prune", "0.5", "--structured", "--finetune", "2"],
    "8 bits, static": ["--quantise", "static"],
    "8 bits, dynamic": ["--quantise", "dynamic"],
}
STUDENT = "student with half of the channels"
ORIGINAL = "original"
ONE, WIDE, TWO = "one process, 1 thread", "one process, 2 threads", "two processes, 1 thread each"
FASTER = "× as fast"
WARM, STEPS = 5, 25  # updates of a turn


def variants(seeds: int, home: Path) -> list[Figure]:
    """Accuracy, size and latency of every variant against its own original, seed by seed."""
    call("data", "add", str(SHARED / DATA), "--name", DATA, home=home)
    found: dict[str, list[dict[str, Any]]] = {}
    plain: list[float] = []
    for seed in range(seeds):
        settings = [f"data.name={DATA}", f"seed={seed}", "data.test=0", f"data.limit={LIMIT}"]
        settings.append(f"training.epochs={EPOCHS}")
        run = train(home, "cnn-mnist", settings)
        longer = [*settings[:-1], f"training.epochs={STUDENT_EPOCHS}"]
        narrow = [f"model.layers.{path}={n}" for path, n in halves(home, run)]
        student = train(home, "cnn-mnist", [*longer, *narrow, f"training.distill={{teacher: {run}}}"])
        alone = train(home, "cnn-mnist", [*longer, *narrow])
        plain.append(float(json.loads(call("evaluate", alone, "--json", home=home))["metrics"]["accuracy"]))
        made = {STUDENT: (student, "best"), ORIGINAL: (run, "best")}
        for what, words in MADE.items():
            line = call("shrink", run, *words, home=home).split()
            made[what] = (line[0], line[1].rstrip(":") if "--quantise" in words else "best")
        told = json.loads(call("variants", run, "--json", home=home))
        by_place = {(row["run"], row["checkpoint"]): row for row in told["rows"]}
        for what, place in made.items():
            found.setdefault(what, []).append(by_place[place])
    figures = [accuracy_of(what, rows, found[ORIGINAL]) for what, rows in found.items()]
    figures.append(
        Figure(
            "the student's model, trained without a teacher, accuracy",
            round(statistics.mean(plain), 4),
            "",
            n=seeds,
            note=f"± {spread(plain):.4f} sd",
        )
    )
    for what, rows in found.items():
        if what != ORIGINAL:
            figures += ratios_of(what, rows)
    return figures


def train(home: Path, preset: str, settings: list[str]) -> str:
    return call("train", preset, *[w for s in settings for w in ("--set", s)], home=home).split()[0]


def halves(home: Path, run: str) -> list[tuple[str, int]]:
    """(place.field, half of it) of the layers that the student has narrower: all but the last."""
    layers = json.loads(call("show", run, "--json", home=home))["spec"]["model"]["layers"]
    places = [i for i, layer in enumerate(layers) if layer["kind"] in ("conv2d", "linear")][:-1]
    names = {"conv2d": "out_channels", "linear": "out_features"}
    return [(f"{i}.{names[layers[i]['kind']]}", layers[i][names[layers[i]["kind"]]] // 2) for i in places]


def accuracy_of(what: str, rows: list[dict[str, Any]], originals: list[dict[str, Any]]) -> Figure:
    values = [row["value"] for row in rows]
    mean = statistics.mean(values)
    if what == ORIGINAL:
        note = f"± {spread(values):.4f} sd; {rows[0]['bytes'] / 1e3:,.0f} kB"
        return Figure(f"{what}, test accuracy", round(mean, 4), "", n=len(rows), note=note)
    lost = [row["value"] - original["value"] for row, original in zip(rows, originals, strict=True)]
    note = (
        f"± {spread(values):.4f} sd; against its original {statistics.mean(lost):+.4f} ± {spread(lost):.4f}"
    )
    reached = statistics.mean(lost) >= -POINT
    return Figure(f"{what}, test accuracy", round(mean, 4), "", "within 1 point", reached, len(rows), note)


def ratios_of(what: str, rows: list[dict[str, Any]]) -> list[Figure]:
    """Ratios to the original: above 1 is smaller, or quicker."""

    def mean(name: str) -> float:
        return statistics.mean(row[name] for row in rows)

    zipped = statistics.mean(row["zipped"] for row in rows) / 1e3
    size = f"{mean('bytes') / 1e3:,.0f} kB, {zipped:,.0f} kB packed, {mean('nonzeros'):,.0f} numbers not zero"
    one = f"{mean('latency_1_ms'):.3f} ms; in batches of 32 {mean('latency_32_ms'):.3f} ms a sample"
    n = len(rows)
    return [
        Figure(f"{what}, size: times smaller", round(mean("size"), 2), "×", n=n, note=size),
        Figure(f"{what}, one sample: times quicker", round(mean("speed_1"), 2), "×", n=n, note=one),
        Figure(f"{what}, batches of 32: times quicker", round(mean("speed_32"), 2), "×", n=n),
    ]


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


# ---------------------------------------------------------------- speed

TIMED = (
    "mlp-image", "mlp-big", "cnn-mnist", "cnn-fashion", "resnet-20", "vit-fashion", "text-lstm", "text-gru",
    "text-cnn", "text-encoder", "gpt-char",
)  # fmt: skip
TEXT, IDS, ROUNDS = 64, 2000, 3  # tokens a text, entries of the vocabulary; turns of which the median counts


def speeds() -> list[Figure]:
    """How much quicker the 8-bit models of several presets are, alone and in batches of 32."""
    import torch

    from tests.models.stacks import input_of
    from workbench.models.build import build
    from workbench.models.int8 import KINDS, loaded, quantised
    from workbench.specs.base import Tokens
    from workbench.worker.variants import THREADS, latencies

    torch.set_num_threads(THREADS)
    figures = []
    for name in TIMED:
        shape = input_of(name)
        spec = PRESETS[name].spec.model
        if isinstance(shape, Tokens):
            shape = Tokens(TEXT, IDS)
            x = torch.randint(1, IDS, (32, TEXT))
        else:
            x = torch.randn(32, *shape)
        model = build(spec, shape, seed=0).eval()
        small = {
            kind: loaded(build(spec, shape, seed=0), kind, quantised(model, kind, [x])) for kind in KINDS
        }
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):  # taking turns, so that a busy minute falls on all of them
            for what, one in (("float", model), *small.items()):
                times.setdefault(what, []).append(latencies(one, x))
        medians = {
            what: [statistics.median(c) for c in zip(*rows, strict=True)] for what, rows in times.items()
        }
        first = medians["float"]
        for kind in KINDS:
            one, many = (a / b for a, b in zip(first, medians[kind], strict=True))
            (single, of_32), (own, own_32) = medians[kind], first
            ms = f"{single:.3f} ms, float {own:.3f}; of 32 {of_32:.4f}, {own_32:.4f}"
            figures.append(
                Figure(f"`{name}`, {kind}, one sample: times quicker", round(one, 2), "×", note=ms)
            )
            figures.append(Figure(f"`{name}`, {kind}, batches of 32: times quicker", round(many, 2), "×"))
    return figures


# ---------------------------------------------------------------- processes


def processes(turns: int, home: Path) -> list[Figure]:
    """The same updates with one process of one thread, one of two, and two of one, taking turns."""
    from workbench import catalog

    store = open_store(home)
    spec = PRESETS["cnn-mnist"].spec.with_changes("training.batch_size=256", "training.device=cpu")
    catalog.with_shipped(store, spec.data.name)
    data = catalog.load(store, spec.data)
    store.close()
    ways = {ONE: (1, 1), WIDE: (1, 2), TWO: (2, 1)}
    found: dict[str, list[Stepped]] = {name: [] for name in ways}
    for turn in range(turns):
        for name, (n, threads) in ways.items():
            found[name].append(stepped(spec.model_copy(update={"seed": turn}), data, n, threads))
    wall = {name: statistics.median(one.wall_ms for one in rows) for name, rows in found.items()}
    cpu = {name: statistics.median(one.cpu_ms for one in rows) for name, rows in found.items()}
    apart = max(abs(a.loss - b.loss) for a, b in zip(found[ONE], found[TWO], strict=True))
    figures = [
        Figure(
            f"{name}, an update",
            round(wall[name], 1),
            "ms",
            n=turns,
            note=f"processor time {cpu[name]:.1f} ms",
        )
        for name in ways
    ]
    clock = "by the clock"
    busier = "processor time of the busier process"
    return [
        *figures,
        Figure(f"{TWO}, against {ONE}", round(wall[ONE] / wall[TWO], 2), FASTER, n=turns, note=clock),
        Figure("the same by processor time", round(cpu[ONE] / cpu[TWO], 2), FASTER, n=turns, note=busier),
        Figure(f"{TWO}, against {WIDE}", round(wall[WIDE] / wall[TWO], 2), FASTER, n=turns, note=clock),
        Figure(
            f"training loss after {WARM + STEPS} updates, apart by at most", apart, "nats", "≤ 0.001",
            apart <= 1e-3, turns, "the same batches; only the order of sums differs",
        ),
    ]  # fmt: skip


class Stepped(NamedTuple):
    """Of one update: milliseconds by the clock, and of the busier process's processors; the last loss."""

    wall_ms: float
    cpu_ms: float
    loss: float


def stepped(spec: RunSpec, data: Any, n: int, threads: int) -> Stepped:
    """Some updates in a process of their own, which forks the second one where there are two."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, json.dumps(_worked(spec, data, n, threads)).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        return Stepped(*json.loads(told.read()))


def _worked(spec: RunSpec, data: Any, n: int, threads: int) -> tuple[float, float, float]:
    place = Path(tempfile.mkdtemp()) / "meet"
    read, write = os.pipe()
    is_peer = n == 2 and os.fork() == 0
    import torch

    from workbench.engine.team import END, Order, join
    from workbench.engine.trainer import Trainer
    from workbench.models.build import build
    from workbench.worker.crew import followed
    from workbench.worker.trained import task_of

    torch.set_num_threads(threads)
    team = join(int(is_peer), 2, place) if n == 2 else None
    task = task_of(spec, data, data.train.y)
    trainer = Trainer(build(spec.model, data.shape, seed=spec.seed), data, task, spec, team=team)
    if is_peer:
        assert team is not None
        began = time.process_time()
        followed(trainer, team)
        os.write(write, str((time.process_time() - began) / (WARM + STEPS)).encode())
        os._exit(0)
    trainer.share()
    batches = iter([batch for _ in range(9) for batch in trainer.rest_of_epoch()])
    for _ in range(WARM):
        trainer.advance(*next(batches))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        trainer.advance(*next(batches))
    wall, cpu = (time.perf_counter() - wall) / STEPS, (time.process_time() - cpu) / STEPS
    loss = float(trainer.tally.drain(trainer.step)[0].values[-1])
    if team is not None:
        team.say(Order(END))
        os.wait()
        cpu = max(cpu, float(os.read(read, 100)))
    return 1e3 * wall, 1e3 * cpu, loss


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--only", choices=("variants", "speed", "processes"))
    chosen = options.parse_args()
    figures: list[Figure] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if chosen.only in (None, "variants"):
                figures += variants(chosen.seeds, Path(folder))
            if chosen.only in (None, "speed"):
                figures += speeds()
            if chosen.only in (None, "processes"):
                figures += processes(chosen.seeds, Path(folder))
        finally:
            leave(open_store(Path(folder)))
    about = (
        f"`cnn-mnist` (225,034 weights) on {LIMIT:,} images of Fashion-MNIST, {EPOCHS} epochs (students "
        f"{STUDENT_EPOCHS}), best "
        "checkpoint, judged on the 10,000 test images; every variant against the original of its seed. "
        "Latency: processor time of one thread, medians of warm turns. Two "
        "processes: the shipped sample, batches of 256. "
        f"{(time.monotonic() - began) / 60:.0f} minutes in all."
    )
    report("smaller", about, figures)


if __name__ == "__main__":
    main()
