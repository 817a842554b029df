"""A trainer that only pretends: writes through the store as a run process does, without torch.

    python -m tests.live.trainer RUN [--seconds 60] [--interval 0.2] [--rate 100] [--steps 20000]

Curves fall and rise as curves do; filters turn from noise into oriented edges; maps follow. Obeys
pause, resume and stop. Also writes its log and, at the end, its exit record.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time

import numpy as np
import psutil

from workbench.records import Event, Panel, Record, Scalars, Tiles
from workbench.specs.presets import preset
from workbench.store import Store, open_store
from workbench.store.states import HOST

CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PER_EPOCH = 400
CONVOLUTIONS = {0: (32, 3, 26), 3: (64, 3, 11)}  # layer: filters, kernel, map side


def new_run(store: Store, name: str = "cnn-mnist") -> str:
    """A queued run as the page would make it."""
    spec = preset("cnn-mnist").spec.model_copy(update={"name": name})
    return store.runs.create(spec).id


def claim(store: Store, run_id: str, total: int = 2000) -> None:
    """Take the run with this very process."""
    store.runs.claim(run_id, os.getpid(), psutil.Process().create_time(), HOST)
    store.flush(run_id, [], phase="running", total_steps=total, device="cpu")


def curves(
    first: int, last: int, seed: int = 0, start: float | None = None, rate: float = 100.0
) -> list[Scalars]:
    """Steps first to last, one point a step for the training keys, one an epoch for validation."""
    steps = np.arange(first, last + 1)
    if not len(steps):
        return []
    noise = np.random.default_rng(seed + first)
    epochs = steps / PER_EPOCH
    times = (time.time() if start is None else start + steps / rate) + np.zeros(len(steps))
    loss = 2.2 * np.exp(-steps / 900) + 0.18 + noise.normal(0, 0.05, len(steps)) * np.exp(-steps / 4000)
    columns = {
        "train/loss": loss,
        "train/accuracy": np.clip(1 - loss / 2.7 + noise.normal(0, 0.02, len(steps)), 0, 1),
        "lr": 1e-3 * 0.5 * (1 + np.cos(np.minimum(steps / 8000, 1) * math.pi)),
        "grad_norm": 0.4 + 2 * np.exp(-steps / 700) + np.abs(noise.normal(0, 0.25, len(steps))),
    }
    found = [Scalars(key, steps, epochs, times, values) for key, values in columns.items()]
    slow = steps[steps % 40 == 0]
    if len(slow):
        at = {"steps": slow, "epochs": slow / PER_EPOCH, "times": times[steps % 40 == 0]}
        found += [
            Scalars(key, **at, values=values)
            for key, values in {
                "throughput/samples_per_s": 3400 + noise.normal(0, 60, len(slow)),
                "system/cpu_percent": np.clip(88 + noise.normal(0, 5, len(slow)), 0, 100),
                "system/memory_mb": 410 + slow / 500,
                "telemetry/share": np.abs(0.012 + noise.normal(0, 0.002, len(slow))),
            }.items()
        ]
    whole = steps[steps % PER_EPOCH == 0]
    if len(whole):
        at = {"steps": whole, "epochs": whole / PER_EPOCH, "times": times[steps % PER_EPOCH == 0]}
        level = 2.2 * np.exp(-whole / 900) + 0.26
        found += [
            Scalars("val/loss", **at, values=level),
            Scalars("val/accuracy", **at, values=1 - level / 2.8),
        ]
    return found


def filters(layer: int, step: int) -> Tiles:
    """Noise that turns into oriented edges."""
    n, k, _ = CONVOLUTIONS[layer]
    grid = np.linspace(-1, 1, k)
    x, y = np.meshgrid(grid, grid)
    turn = np.linspace(0, math.pi, n)[:, None, None]
    edges = np.sin(3 * (x * np.cos(turn) + y * np.sin(turn)) + 2 * turn)
    noise = np.random.default_rng(layer).normal(0, 0.6, (n, k, k))
    part = 1 - math.exp(-step / 600)
    weights = (1 - part) * noise + part * edges + 0.03 * np.random.default_rng(step).normal(size=(n, k, k))
    reach = np.abs(weights).max((1, 2))
    pixels = np.round((weights / reach[:, None, None] + 1) * 127.5).astype(np.uint8)
    title = f"Filters of layer {layer}, mean over input channels" if layer else "Filters of layer 0"
    return Tiles(
        f"filters/{layer}",
        step,
        step / PER_EPOCH,
        time.time(),
        pixels,
        -reach,
        reach,
        "filter",
        title,
        0,
        True,
    )


def maps(layer: int, step: int, images: int = 6) -> Tiles:
    n, _, side = CONVOLUTIONS[layer]
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    part = 1 - math.exp(-step / 600)
    stacks = []
    for image in range(images):
        shape = _picture(image, side) / 255
        turn = np.linspace(0, math.pi, n)[:, None, None]
        wave = np.sin(4 * (x * np.cos(turn) + y * np.sin(turn)) + image)
        stacks.append(np.maximum(0, shape * (part * wave + (1 - part) * 0.5) + 0.05 * part))
    values = np.concatenate(stacks)
    lows, highs = values.min((1, 2)), values.max((1, 2)) + 1e-9
    pixels = ((values - lows[:, None, None]) / (highs - lows)[:, None, None] * 255).astype(np.uint8)
    title = f"What layer {layer} sees"
    return Tiles(
        f"maps/{layer}", step, step / PER_EPOCH, time.time(), pixels, lows, highs, "channel", title, n, False
    )


def confusion(step: int) -> Panel:
    right = 1 - 0.75 * math.exp(-step / 800)
    noise = np.random.default_rng(step)
    matrix = noise.multinomial(100, (1 - right) * np.full((10, 10), 0.1) + right * np.eye(10))
    data = {"classes": list(CLASSES), "matrix": matrix.tolist()}
    return Panel("confusion", step, step / PER_EPOCH, time.time(), data)


def samples(step: int, n: int = 24) -> Panel:
    items = []
    for i in range(n):
        label, other = CLASSES[i % 10], CLASSES[(i * 7 + 3) % 10]
        sure = 1 - 0.8 * math.exp(-step / (300 + 120 * i))
        ranked = sorted(
            [(label, sure), (other, (1 - sure) * 0.7), (CLASSES[(i + 5) % 10], (1 - sure) * 0.3)],
            key=lambda p: -p[1],
        )
        items.append(
            {
                "index": i,
                "label": label,
                "prediction": ranked[0][0],
                "probabilities": ranked,
                "correct": ranked[0][0] == label,
            }
        )
    arrays = {"images": np.stack([_picture(i, 28) for i in range(n)])}
    return Panel("samples", step, step / PER_EPOCH, time.time(), {"items": items}, arrays)


def probe(images: int = 6) -> Panel:
    data = {"labels": [CLASSES[i] for i in range(images)]}
    return Panel(
        "probe", 0, 0.0, time.time(), data, {"images": np.stack([_picture(i, 28) for i in range(images)])}
    )


def _picture(i: int, side: int) -> np.ndarray:
    """A blob whose shape depends on i; (side, side) uint8."""
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    radius = 0.55 + 0.22 * np.cos((2 + i % 5) * np.arctan2(y, x) + i)
    return (
        255 * np.clip((radius - np.hypot(x, y)) * 6 + 0.5, 0, 1) * (0.7 + 0.3 * np.cos(5 * y + i))
    ).astype(np.uint8)


def look(step: int) -> list[Record]:
    """All pictures of one look inside."""
    return [*(filters(layer, step) for layer in CONVOLUTIONS), *(maps(layer, step) for layer in CONVOLUTIONS)]


def event(kind: str, text: str, step: int) -> Event:
    return Event(kind, text, step, step / PER_EPOCH, time.time())


def train(
    store: Store, run_id: str, *, seconds: float, interval: float, rate: float, total: int, pictures: float
) -> None:
    """Write as a run process does until `total` steps, `seconds`, or a stop command."""
    claim(store, run_id, total)
    log = store.log_path(run_id).open("a", buffering=1, encoding="utf-8")
    store.flush(run_id, [probe(), event("started", "Training began on cpu with 54,000 images.", 0)])
    began, pictured, step, paused, validated = time.time(), 0.0, 0, False, 0
    while step < total and time.time() - began < seconds:
        time.sleep(interval)
        for command in store.commands.take(run_id):
            if command.verb == "stop":
                store.runs.exit(run_id, "stopped")
                return
            paused = command.verb == "pause"
            words = ("paused", "Paused.") if paused else ("resumed", "Goes on.")
            store.flush(run_id, [event(*words, step)], phase="paused" if paused else "running")
        if paused:
            store.runs.beat(run_id)
            continue
        last = min(total, step + max(1, round(rate * interval)))
        records: list[Record] = [*curves(step + 1, last)]
        if time.time() - pictured > pictures:
            pictured = time.time()
            records += look(last)
        if last // PER_EPOCH > validated:
            validated = last // PER_EPOCH
            records += [
                confusion(last),
                samples(last),
                event("validated", f"Epoch {validated}: validation finished.", last),
            ]
            if validated % 2:
                records.append(event("best", "Best validation loss so far; checkpoint kept.", last))
        step = last
        log.write(
            f"step {step:6d}  epoch {step / PER_EPOCH:.2f}  loss {2.2 * math.exp(-step / 900) + 0.18:.4f}\n"
        )
        store.flush(
            run_id,
            records,
            step=step,
            epoch=step / PER_EPOCH,
            eta_s=(total - step) / rate,
            telemetry_share=0.012,
        )
    store.flush(run_id, [event("finished", "Reached its last step.", step)])
    store.runs.exit(run_id, "finished")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    for name, value in (("seconds", 60.0), ("interval", 0.2), ("rate", 100.0), ("pictures", 0.5)):
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--steps", type=int, default=20_000)
    given = parser.parse_args()
    train(open_store(), given.run, seconds=given.seconds, interval=given.interval, rate=given.rate,
          total=given.steps, pictures=given.pictures)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
