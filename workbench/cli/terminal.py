"""What every verb shares: the store, the spec argument, and how facts and errors are printed.

Facts go to standard output, everything else to standard error, so that pipes carry facts only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.specs.base import did_you_mean
from workbench.specs.errors import SpecError, WorkbenchError
from workbench.specs.presets import PRESETS, preset
from workbench.specs.run import RunSpec, dump_json, parse

if TYPE_CHECKING:  # `--help` must not wait for a database library
    from rich.console import Console

    from workbench.store import RunRow, Store

Json = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id, start of an id, or name of a run.")]
SpecPath = Annotated[str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, a preset's name, or - .")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=V", help="Change a field of the spec; may be given several times."),
]
Checkpoint = Annotated[
    str | None, typer.Option(metavar="best|last|STEP", help="Which weights; the best where there are such.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the id and return; the run goes on.")]


def the_store() -> Store:
    """The store the environment names."""
    from workbench.store import open_store

    return open_store()


def read_spec(text: str, changes: list[str] | None = None, name: str | None = None) -> RunSpec:
    """The spec that a verb's argument means, with `--set` and `--name` applied. Raises SpecError."""
    spec = _spec_of(text).with_changes(*(changes or []))
    return spec.with_changes(f"name={dump_json(name)}") if name is not None else spec


def _spec_of(text: str) -> RunSpec:
    if text == "-":
        return parse(sys.stdin.read(), "standard input")
    path = Path(text)
    if path.is_file():
        try:
            return parse(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            fact = getattr(error, "strerror", None) or "it is not text"
            raise SpecError.of(text, "a spec must be a readable text file", fact) from None
    if text in PRESETS:
        return preset(text).spec
    from workbench.store import own_presets

    mine = own_presets()
    if text in mine.names():
        return mine.get(text)
    raise SpecError.of(
        text, "a spec is a YAML file, a preset's name, or - for standard input", "there is no such file",
        did_you_mean(text, [*PRESETS, *mine.names()]),
    )  # fmt: skip


def print_json(value: Any) -> None:
    print(dump_json(value))


def note(text: str) -> None:
    """A sentence for the person at the terminal; not a fact, so not on standard output."""
    print(text, file=sys.stderr, flush=True)


def print_error(error: WorkbenchError) -> None:
    """One line per problem: where, rule, fact, repair."""
    for problem in error.problems:
        note(f"{problem.severity}: {problem.sentence()}")
    if not error.problems:
        note(f"error: {error}")


def console() -> Console:
    """rich's console on standard output; a pipe is given room, so that `grep` sees whole rows."""
    from rich.console import Console

    # Names are shown as they are: `[bold]` or `:rocket:` in one is no markup.
    width = None if sys.stdout.isatty() else 200
    return Console(highlight=False, markup=False, emoji=False, width=width)


def progress(*columns: Any) -> Any:
    """A progress bar on standard error; silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    screen = Console(stderr=True, highlight=False)
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)


@contextmanager
def worked_out(words: str = "") -> Iterator[Callable[[str, float], None]]:
    """A bar for the time of a piece of work, which tells it in words and as a share from 0 to 1."""
    from rich.progress import BarColumn, TextColumn

    with progress(BarColumn(), TextColumn("{task.description}", markup=False)) as bar:
        task = bar.add_task(words, total=1.0)
        yield lambda told, share: bar.update(task, description=told, completed=share)


def table(*columns: str) -> Any:
    """A plain table; columns ending in > are set to the right, those ending in ! are never folded."""
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        is_right, is_whole = column.endswith(">"), column.endswith("!")
        made.add_column(
            column.rstrip(">!"), justify="right" if is_right else "left", overflow="fold", no_wrap=is_whole
        )
    return made


def run_json(row: RunRow, *, with_spec: bool) -> dict[str, Any]:
    """The contract of `show --json`; `runs --json` is a list of the same without `spec`."""
    import json

    facts: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "state": row.state.value,
        "pid": row.pid,
        "step": row.step,
        "epoch": row.epoch,
        "device": row.device,
    }
    if with_spec:
        facts["spec"] = json.loads(row.spec_json)
    return facts | {
        "metrics": {
            key: {part: values.get(part) for part in ("last", "best", "best_step")}
            for key, values in row.metrics.items()
        },
        "telemetry_share": row.telemetry_share,
        "error": dict(row.error) if row.error else None,
        "parked": row.parked,
        "held": row.held,
        "slot": row.slot,
        "peak_bytes": row.peak_bytes,
        "silent_s": None if row.silent_s is None else round(row.silent_s, 1),
    }


def progress_text(row: RunRow) -> str:
    """`step 120 of 790, epoch 1.5`."""
    total = f" of {row.total_steps:,}" if row.total_steps else ""
    return f"step {row.step:,}{total}, epoch {row.epoch:.2f}"


def error_text(row: RunRow) -> str:
    """The error of a failed or lost run on one line."""
    if not row.error:
        return ""
    e = row.error
    return f"{e.get('where')}: {e.get('rule')}, but {e.get('fact')}. {e.get('repair') or ''}".strip()


def outcome_text(row: RunRow) -> str:
    """How a run ended, in a sentence or two."""
    parts = [f"Run {row.id} ({row.name}): {row.state} at {progress_text(row)}."]
    for key in ("val/accuracy", "val/loss"):
        best = row.metrics.get(key, {}).get("best")
        if best is not None:
            parts.append(f"Best {key} {best:.4f}.")
    if row.error:
        parts.append(error_text(row))
    return " ".join(parts)


def report(row: RunRow, as_json: bool, said: str | None = None) -> None:
    """Say how a run stands after a verb: as JSON, in the words given, or by state and step."""
    if as_json:
        print_json(run_json(row, with_spec=True))
    else:
        print(said or f"{row.id} is {row.state} at {progress_text(row)}")
