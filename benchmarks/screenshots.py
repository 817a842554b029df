"""`make screenshots`: docs/screenshots/ and docs/screenshots.md made anew from the running product.

Every page in the states it can be in, at 1440 and 800 px, in light and in dark. Real servers with homes
of their own and a real Chromium. Five homes: one that nobody has used; one with real data and real
trainings (running, paused, parked, ended); one of texts; one of every other kind; one as full as a year
leaves it: a hundred runs and twenty in the queue, whose figures are written into the store, because
training them would take a day.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from benchmarks import shots
from benchmarks.launch import leave
from benchmarks.pages import CHROMIUM, free_port, start, stop
from benchmarks.pages import WORKBENCH as COMMAND
from benchmarks.shots import ALL, LOOKS, PATIENCE_MS, Shot, listing
from workbench.data.prepared import open_arrays
from workbench.jobs import runs as control
from workbench.records import RunState, Scalars
from workbench.specs.errors import WorkbenchError
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.ui import tour

DOCS = Path(__file__).resolve().parent.parent / "docs"
OUT = DOCS / "screenshots"
HEIGHT = 900
QUALITY = 62
SETTLE_MS = 900
FULL_RUNS, IN_QUEUE = 100, 20
NAMES = [
    name for name, preset in PRESETS.items() if preset.spec.data.name in ("digits", "fashion-mnist-sample")
]
LONG = "Rate 3e-4 with warm-up, label smoothing 0.1, cutmix, seed 7, second try after the fix of the split"


# ---------------------------------------------------------------- one picture


def shoot(page: Page, address: str, shot: Shot, mark: str) -> None:
    page.goto(address)
    page.locator(shot.ready).first.wait_for(timeout=PATIENCE_MS)
    if shot.act:
        shot.act(page)
    rests = "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
    page.mouse.move(2, 2)
    if shot.calm:
        with suppress(BrowserError):  # a page that refreshes itself may never rest for long
            page.locator(rests).wait_for(timeout=5000)
        page.wait_for_timeout(SETTLE_MS)
    keep(page.screenshot(), OUT / f"{shot.name}{mark}.webp")


def keep(png: bytes, path: Path) -> None:
    """As WebP, lossy or lossless, whichever is smaller."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    blobs = []
    for way in ({"quality": QUALITY, "method": 6}, {"lossless": True, "method": 4}):
        out = io.BytesIO()
        image.save(out, "WEBP", **way)  # type: ignore[arg-type]
        blobs.append(out.getvalue())
    path.write_bytes(min(blobs, key=len))


def walk(browser: Browser, base: str, states: Sequence[Shot], **facts: str) -> None:
    for mark, (width, scheme) in LOOKS.items():
        size = {"width": width, "height": HEIGHT}
        page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        for shot in [shot for shot in states if not ONLY or shot.name in ONLY]:
            try:
                shoot(page, f"{base}/{shot.path.format(**facts)}", shot, mark)
            except BrowserError as error:
                raise SystemExit(f"{shot.name}{mark} could not be taken: {error}") from error
            print(f"{shot.name}{mark}", flush=True)
        page.close()


# ---------------------------------------------------------------- the homes


@contextmanager
def home(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"workbench-{name}-"))
    before = os.environ.get("WORKBENCH_HOME")
    os.environ["WORKBENCH_HOME"] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("WORKBENCH_HOME")
        if before is not None:
            os.environ["WORKBENCH_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pages_alone(folder: Path) -> Iterator[str]:
    """The app without a supervisor: nothing in the queue starts."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "workbench.live.serve", str(port)],
        env={**os.environ, "WORKBENCH_HOME": str(folder)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(15)


@contextmanager
def whole(folder: Path) -> Iterator[str]:
    """The app with its supervisor, as `make run` starts it."""
    port = free_port()
    app, _ = start(folder, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(app)
        store = open_store(folder)
        for row in store.runs.active():
            with suppress(WorkbenchError):
                control.stop(store, row.id)
        deadline = time.monotonic() + 20
        while any(row.at_work for row in store.runs.active()) and time.monotonic() < deadline:
            time.sleep(0.3)
        leave(store)


def command(*words: str) -> str:
    done = subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"workbench {' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout.split()[0] if done.stdout.split() else ""


def until(true: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.3)


def draft(store: Store, name: str, spec: RunSpec, model: dict[str, object] | None = None) -> str:
    """A draft for the URL; `model` may be one that a spec would refuse."""
    tree = spec.model_dump(mode="json")
    store.drafts.put(name, json.dumps({"rev": 1, "spec": {**tree, "model": model or tree["model"]}}))
    return name


def awkward_zip(store: Store, path: Path) -> Path:
    """Pictures of the digits as people send them: two sizes, a torn file, a copy, a text among them."""
    arrays = open_arrays(store.datasets.get("digits").path)
    with zipfile.ZipFile(path, "w") as archive:
        for i, (x, y) in enumerate(zip(arrays.images[:240], arrays.labels[:240], strict=True)):
            if y > 5:
                continue
            side = 32 if i % 3 else 28
            out = io.BytesIO()
            Image.fromarray(255 - np.asarray(x[0]) * 1).convert("L").resize((side, side)).save(out, "PNG")
            blob = out.getvalue()[:90] if i in (11, 40) else out.getvalue()
            archive.writestr(f"parking signs/level {int(y)}/IMG_{i:04d}.png", blob)
        archive.writestr("__MACOSX/._IMG_0001.png", b"x")
        archive.writestr("parking signs/read me.txt", "Pictures of March.")
    return path


# ---------------------------------------------------------------- the walks


def unused(browser: Browser) -> None:
    with home("new") as folder, pages_alone(folder) as base:
        walk(browser, base, shots.FIRST_VISIT)
        open_store(folder).drafts.put(tour.KEPT, tour.OVER)
        walk(browser, base, shots.NOTHING_YET)


def busy(browser: Browser) -> None:
    with home("busy") as folder, whole(folder) as base:
        store = open_store(folder)
        store.drafts.put(tour.KEPT, tour.OVER)
        few = ("--set", "training.epochs=12")
        ended = [
            command("train", "cnn-digits", "--name", f"Digits, rate {rate}", "--set",
                    f"training.optimizer.lr={rate}", *few)
            for rate in ("0.001", "0.003", "0.01")
        ]  # fmt: skip
        command("data", "add", str(awkward_zip(store, folder / "signs.zip")), "--name", "parking-signs")
        parked = in_the_middle(store, "Digits, too large for memory")
        control.park(store, parked)
        until(lambda: store.runs.get(parked).parked, "a parked run")
        failed = in_the_middle(store, "Digits in large batches")
        control.park(store, failed)
        until(lambda: store.runs.get(failed).parked, "a second parked run")
        out_of_memory(store, failed)
        paused = in_the_middle(store, "Digits, looked at in between")
        control.pause(store, paused)
        until(lambda: store.runs.get(paused).state is RunState.PAUSED, "a paused run")
        walk(browser, base, shots.HALTED, paused=paused)
        control.stop(store, paused)  # it held the only place at work
        run = command("train", "cnn-mnist", "--detach", "--set", "training.epochs=400", "--name",
                      "CNN on Fashion-MNIST")  # fmt: skip
        until(lambda: store.runs.get(run).epoch > 2.2, "two epochs")
        spec = PRESETS["cnn-mnist"].spec
        tree = spec.model_dump(mode="json")["model"]
        layers = [layer for layer in tree["layers"] if layer["kind"] != "flatten"]
        faulty = draft(store, "shot-faulty", spec, {**tree, "layers": layers})
        good = draft(store, "shot-usual", spec)
        changes = ["data.augment=[{kind: flip}, {kind: rotate}, {kind: cutout}]"]
        varied = draft(store, "shot-varied", spec.with_changes(*changes))
        walk(
            browser, base, shots.AT_WORK, run=run, parked=parked, failed=failed, ended=ended[0],
            several=",".join(ended), good=good, faulty=faulty, varied=varied,
        )  # fmt: skip


def in_the_middle(store: Store, name: str) -> str:
    run = command("train", "cnn-digits", "--detach", "--set", "training.epochs=5000", "--name", name)
    until(lambda: store.runs.get(run).epoch > 3.2, "three epochs")
    return run


def out_of_memory(store: Store, run: str) -> None:
    """The end that a batch too large gives, with the error that torch itself throws."""
    import torch

    from workbench.worker.faults import TRAINING, describe

    row = store.runs.get(run)
    try:
        torch.empty(10**15)
    except RuntimeError as error:
        told = describe(error, TRAINING, row.spec, row.step) | {"line": None}  # the line would be this one
        store.runs.exit(run, "failed", told)


def full(browser: Browser) -> None:
    with home("full") as folder, whole(folder) as base:
        store = open_store(folder)
        store.drafts.put(tour.KEPT, tour.OVER)
        many = a_year_of_runs(store)
        in_the_middle(store, "Digits, all night")  # the twenty wait for it
        waiting = a_queue(store)
        walk(browser, base, shots.CROWDED, many=",".join(many[:12]), waiting=waiting[3])
        for run in waiting:
            store.runs.exit(run, "stopped")


def written(browser: Browser) -> None:
    """Texts: short trainings of each kind, their sets and designs."""
    with home("texts") as folder, whole(folder) as base:
        store = open_store(folder)
        store.drafts.put(tour.KEPT, tour.OVER)
        judge = command("train", "text-lstm", "--name", "An LSTM on messages", "--set", "training.epochs=2")
        writer = command("train", "gpt-char", "--name", "GPT on Shakespeare", "--set", "training.steps=400")
        translator = command(
            "train", "dates-seq2seq", "--name", "Written dates", "--set", "training.epochs=2"
        )
        specs = {name: PRESETS[name].spec for name in ("text-lstm", "gpt-char", "dates-seq2seq")}
        odd = PRESETS["cnn-mnist"].spec.with_changes("data.name=sms-spam")
        walk(
            browser, base, shots.TEXTS, judge=judge, writer=writer, translator=translator,
            spam=draft(store, "shot-spam", specs["text-lstm"]),
            gpt=draft(store, "shot-gpt", specs["gpt-char"]),
            dates=draft(store, "shot-dates", specs["dates-seq2seq"]), odd=draft(store, "shot-odd", odd),
        )  # fmt: skip


def of_each_kind(browser: Browser) -> None:
    """Tables, series, masks, networks that make pictures, and smaller variants: short trainings of each."""
    with home("kinds") as folder, whole(folder) as base:
        store = open_store(folder)
        store.drafts.put(tour.KEPT, tour.OVER)
        original = command("train", "cnn-digits", "--name", "Digits", "--set", "training.epochs=6")
        command("shrink", original, "--prune", "0.5", "--structured")
        command("shrink", original, "--quantise", "static")
        command("variants", original)
        facts = {
            name: command("train", preset, "--name", words, "--set", f"training.epochs={epochs}")
            for name, preset, epochs, words in (
                ("rows", "ft-transformer", 2, "Who earns more than 50,000"),
                ("rates", "resmlp-table", 12, "Quality of wine"),
                ("ahead", "quantile-forecast", 30, "A year of sunspots ahead"),
                ("patches", "vit-tiny", 2, "ViT on Fashion-MNIST"),
                ("marked", "unet-small", 16, "Shapes and their masks"),
                ("codes", "vae", 4, "A map of clothes"),
                ("made", "dcgan", 10, "Clothes that never were"),
            )
        }
        table, masks = (PRESETS[name].spec for name in ("ft-transformer", "unet-small"))
        walk(
            browser, base, shots.KINDS, **facts, original=original,
            table=draft(store, "shot-table", table), masks=draft(store, "shot-masks", masks),
        )  # fmt: skip


def a_year_of_runs(store: Store) -> list[str]:
    """A hundred ended runs with curves; their ids, newest first."""
    rng = random.Random(0)
    ended = []
    for i in range(FULL_RUNS):
        spec = PRESETS[rng.choice(NAMES)].spec
        name = LONG if i % 9 == 0 else f"{rng.choice(['wide', 'deep', 'narrow'])} {spec.name}, seed {i}"
        row = store.runs.create(spec.model_copy(update={"name": name, "seed": i}))
        store.runs.claim(row.id, os.getpid(), time.time(), "another-machine")
        steps = np.arange(1, 356)
        level = rng.uniform(0.2, 0.6) + 2 * np.exp(-steps / rng.uniform(40, 120))
        noise = np.random.default_rng(i).normal(0, 0.04, len(steps))
        times = time.time() + steps * 0.02
        records = [Scalars("train/loss", steps, steps / 71, times, level + noise)]
        whole = steps[steps % 71 == 0]
        for key, values in (("val/loss", level + 0.05), ("val/accuracy", 1 - level / 2.6)):
            at = whole - 1
            records.append(Scalars(key, whole, whole / 71, times[at], values[at]))
        done = 355 if i % 7 else 140
        store.flush(row.id, records, step=done, epoch=done / 71, total_steps=355)
        kind = "finished" if i % 7 else rng.choice(["stopped", "lost"])
        store.runs.exit(row.id, kind)
        ended.append(row.id)
    return ended[::-1]


def a_queue(store: Store) -> list[str]:
    """Twenty runs that wait, some of them held; their ids in order."""
    waiting = []
    for i in range(IN_QUEUE):
        spec = PRESETS[NAMES[i % len(NAMES)]].spec
        name = LONG if i == 4 else f"sweep {i:02d}, batch {2 ** (4 + i % 5)}"
        waiting.append(store.runs.create(spec.model_copy(update={"name": name}), held=i in (6, 7, 15)).id)
    return waiting


# ---------------------------------------------------------------- the page that lists them


ONLY: set[str] = set()  # names of the shots to take again; empty: all
HOMES: dict[str, Callable[[Browser], None]] = {
    "unused": unused, "busy": busy, "full": full, "texts": written, "kinds": of_each_kind,
}  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--homes", nargs="*", default=list(HOMES), choices=list(HOMES))
    arguments.add_argument("--only", nargs="*", default=[], choices=[shot.name for shot in ALL])
    chosen = arguments.parse_args()
    ONLY.update(chosen.only)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whatever was started is ended
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        for name in chosen.homes:
            HOMES[name](browser)
        browser.close()
    known = {f"{shot.name}{mark}.webp" for shot in ALL for mark in LOOKS}
    for path in OUT.iterdir():
        if path.name not in known:  # a picture of a state that is shown no more
            path.unlink()
    (DOCS / "screenshots.md").write_text(listing(), encoding="utf-8")
    size = sum(path.stat().st_size for path in OUT.iterdir())
    print(f"{len(list(OUT.iterdir()))} pictures, {size / 1e6:.1f} MB, in {OUT}")


if __name__ == "__main__":
    main()
