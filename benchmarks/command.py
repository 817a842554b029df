"""Trainings through the product's own command line, for benchmarks of what is learned."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.launch import leave
from benchmarks.report import Figure
from workbench.store import open_store

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WORKBENCH_SHARED_DATA", REPO.parent / "shared" / "data"))
WORKBENCH = str(Path(sys.executable).parent / "workbench")


def call(*words: str, home: Path) -> str:
    """The output of `workbench` with these words. Raises SystemExit where it fails."""
    environment = {**os.environ, "WORKBENCH_HOME": str(home)}
    done = subprocess.run([WORKBENCH, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"workbench {' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def trained(home: Path, spec: str | Mapping[str, Any], *changes: str) -> tuple[str, float]:
    """(run, minutes) of a training to its end. spec: a preset's name, or a tree."""
    if not isinstance(spec, str):
        path = home / "spec.yaml"
        path.write_text(yaml.safe_dump(dict(spec), sort_keys=False), encoding="utf-8")
        spec = str(path)
    words = [word for change in changes for word in ("--set", change)]
    began = time.monotonic()
    run = call("train", spec, *words, home=home).split()[0]
    return run, (time.monotonic() - began) / 60


def marks(home: Path, run: str) -> Any:
    """What was measured while it trained: key → last, best, best_step."""
    return json.loads(call("show", run, "--json", home=home))["metrics"]


def judged(home: Path, run: str) -> Any:
    """What `evaluate --json` says of the run's best checkpoint."""
    return json.loads(call("evaluate", run, "--json", home=home))


def spread(values: Sequence[float]) -> float:
    """Their standard deviation; 0 for one alone."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def measured(
    about: str, works: Collection[str], measure: Callable[[str, int, Path], list[Figure]], seeds: int = 3
) -> list[Figure]:
    """The figures of all works, or of the one that --only names, in one home that goes afterwards.

    measure(work, seeds, home) gives those of one.
    """
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--seeds", type=int, default=seeds)
    options.add_argument("--only", choices=list(works))
    chosen = options.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for work in [chosen.only] if chosen.only else works:
                figures += measure(work, chosen.seeds, Path(folder))
        finally:
            leave(open_store(Path(folder)))
    return figures
