"""`make bench`: every benchmark in turn, and docs/benchmarks.md from what they found.

python -m benchmarks.run              all of them
python -m benchmarks.run launch live  some of them; the others keep their last figures
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.report import MARK, number

REPO = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = REPO / "docs" / "benchmarks.md"

# name -> (module, title); the peers of `throughput` live in an environment of their own.
BENCHMARKS = {
    "throughput": ("benchmarks.throughput", "What watching costs: training throughput"),
    "text_throughput": ("benchmarks.text_throughput", "The same on texts: LSTM, encoder, GPT"),
    "gpu": ("benchmarks.gpu", "Throughput and memory on a GPU"),
    "launch": ("benchmarks.launch", "From launch to the first logged step"),
    "preflight": ("benchmarks.preflight", "The preflight of every preset"),
    "live_latency": ("benchmarks.live_latency", "From the worker's write to the pixel"),
    "attention": ("benchmarks.attention", "All attention heads, and a text of one's own"),
    "pages": ("benchmarks.pages", "Page switch, start-up and memory of the view"),
    "scale": ("benchmarks.scale", "Ten thousand runs, a million steps"),
    "chaos": ("benchmarks.chaos", "Three hundred kills"),
    "soak": ("benchmarks.soak", "Twenty queued runs, fifty viewers, one hour"),
    "data_import": ("benchmarks.data_import", "Importing images"),
    "text_import": ("benchmarks.text_import", "Importing texts, and tokenizing them"),
    "pictures": ("benchmarks.pictures", "Answers that are pictures"),
    "texts": ("benchmarks.texts", "Accuracy of text classifiers"),
    "presets": ("benchmarks.presets", "What each preset of texts reaches"),
    "series": ("benchmarks.series", "Forecasts of real series"),
    "writing": ("benchmarks.writing", "A small GPT, and translations"),
    "pretrained": ("benchmarks.pretrained", "A pretrained encoder on few sentences"),
    "vision": ("benchmarks.vision", "A Vision Transformer, and a small residual network"),
    "tables": ("benchmarks.tables", "Tables: classes and numbers from rows"),
    "smaller": ("benchmarks.smaller", "Smaller models, and two processes"),
    "accuracy": ("benchmarks.accuracy", "Accuracy on the full data sets"),
}


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        print(f"Unknown: {', '.join(unknown)}. Known: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    failed = [name for name in wanted or here() if not measure(name)]
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Written: {PAGE.relative_to(REPO)}")
    if failed:
        print(f"Did not finish: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def here() -> list[str]:
    """All that this machine can measure; what it cannot keeps its last figures."""
    has_gpu = Path("/proc/driver/nvidia/version").exists()
    if not has_gpu:
        print("No NVIDIA GPU here: `gpu` keeps its last figures.")
    return [name for name in BENCHMARKS if name != "gpu" or has_gpu]


def measure(name: str) -> bool:
    """Run one benchmark and keep its figures; False when it did not report."""
    module, title = BENCHMARKS[name]
    python = REPO / (".venv-bench" if name == "throughput" else ".venv") / "bin" / "python"
    print(f"--- {title}", flush=True)
    command = [str(python if python.exists() else sys.executable), "-m", module]
    found = None
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                found = json.loads(line[len(MARK) :])
            else:
                print(line, end="", flush=True)
    if found is None or process.returncode:
        return False
    found["date"] = time.strftime("%Y-%m-%d")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return True


def page() -> str:
    """The whole of docs/benchmarks.md."""
    parts = [
        "# Benchmarks",
        "Made by `make bench` (one benchmark: `python -m benchmarks.run launch`). Medians unless said "
        "otherwise; every ratio was measured against its peer in the same run, taking turns.",
    ]
    for name, (module, title) in BENCHMARKS.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            parts.append(f"## {title}\n\nNot measured yet: `python -m benchmarks.run {name}`.")
            continue
        parts.append(section(title, module, json.loads(file.read_text(encoding="utf-8"))))
    return "\n\n".join(parts) + "\n"


def section(title: str, module: str, found: dict[str, Any]) -> str:
    rows = ["| what | measured | target | | n | note |", "|---|--:|---|---|--:|---|"]
    for f in found["figures"]:
        verdict = {True: "met", False: "**not met**", None: ""}[f["met"]]
        value = f"{number(f['value'])} {f['unit']}".strip()
        rows.append(f"| {f['what']} | {value} | {f['target']} | {verdict} | {f['n']} | {f['note']} |")
    source = f"`{module.replace('.', '/')}.py`, {found['date']}, {found['machine']}."
    return "\n\n".join([f"## {title}", found["about"], "\n".join(rows), source])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
