"""The command line: `workbench VERB …`. The same functions stand behind it as behind the pages.

Exit codes: 0 success; 2 bad input, with a one-line reason and the repair on standard error; 1 when a
run did not finish or something else went wrong; 130 after Ctrl-C. No traceback ever reaches a user:
it goes to `cli.log` in the home.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from workbench.cli import data, house, model, runs, specs, train
from workbench.cli.terminal import note, print_error
from workbench.specs.errors import StoreError, WorkbenchError

app = typer.Typer(
    help="Build, train and look inside neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
VERBS: tuple[Callable[..., object], ...] = (
    house.up, house.doctor, specs.presets, specs.check, train.train, runs.runs, runs.show, runs.log,
    runs.metrics, runs.pause, runs.resume, runs.stop, runs.fork, model.evaluate, model.predict, runs.rename,
    runs.delete,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)
app.add_typer(data.app, name="data")

# What typer raises for bad usage; it keeps the class to itself.
USAGE: type[Exception] = typer.BadParameter.__mro__[2]  # type: ignore[assignment]


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    command = typer.main.get_command(app)
    try:
        result = command.main(
            args=list(sys.argv[1:] if arguments is None else arguments),
            prog_name="workbench",
            standalone_mode=False,
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except StoreError as error:  # the machine's fault, not the input's
        print_error(error)
        return 1
    except WorkbenchError as error:
        print_error(error)
        return 2
    except USAGE as error:
        _usage(error)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        note("\nInterrupted.")
        return 130
    except BrokenPipeError:  # `workbench runs | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        _unexpected(error)
        return 1


def _usage(error: Exception) -> None:
    message = getattr(error, "format_message", lambda: str(error))()
    if message.startswith("Usage:"):  # a group of verbs without a verb: its help
        note(message)
        return
    context = getattr(error, "ctx", None)
    if message:
        note(f"error: {message.strip().splitlines()[0]}")
    note(f"Try `{context.command_path if context else 'workbench'} --help`.")


def _unexpected(error: Exception) -> None:
    home = Path(os.environ.get("WORKBENCH_HOME") or Path.home() / ".workbench").expanduser()
    where = ""
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        with (home / "cli.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv[1:])}\n")
            log.writelines(traceback.format_exception(error))
        where = f" The details are in {home / 'cli.log'}."
    first = (str(error).strip().splitlines() or [""])[0]
    note(f"error: something unexpected happened ({type(error).__name__}: {first}).{where}")


def main() -> None:
    """The entry point of the `workbench` command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
