"""The command line: `workbench VERB …`. The same functions stand behind it as behind the pages.

Exit codes: 0 success; 2 bad input, with a one-line reason and the repair on standard error; 1 when a
run did not finish or something else went wrong; 130 after Ctrl-C. No traceback ever reaches a user:
it goes to `cli.log` in the home.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from workbench.cli import (
    data,
    fetch,
    house,
    importing,
    labels,
    log,
    model,
    preflight,
    queue,
    runs,
    smaller,
    specs,
    steer,
    train,
)
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
    house.up, house.doctor, specs.presets, specs.check, fetch.fetch, preflight.preflight,
    preflight.range_test, train.train, runs.runs, runs.show, log.log, runs.metrics, steer.pause,
    steer.park, steer.resume, steer.step, steer.stop, steer.change, steer.ledger,
    steer.fork, queue.queue, queue.hold, queue.release, queue.move, model.evaluate, model.predict,
    model.hardest, smaller.shrink, smaller.variants,
    runs.rename, runs.delete,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)
app.command("import")(importing.import_)
app.command(context_settings={"ignore_unknown_options": True})(labels.tag)  # `-TAG` is no option
app.command()(labels.archive)
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
        return 2 if any(_is_damage(problem.fact) for problem in error.problems) else 1
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
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            _unexpected(error)
            return 1
        note("error: an argument must be text in UTF-8, but one holds other bytes.")
        return 2
    except OSError as error:
        return _refused_file(error)
    except Exception as error:
        sqlalchemy = sys.modules.get("sqlalchemy.exc")  # not imported for `--help`
        if sqlalchemy is None or not isinstance(error, sqlalchemy.SQLAlchemyError):
            _unexpected(error)
            return 1
        return _refused_by_database(error)


def _is_damage(fact: str) -> bool:
    from workbench.store.salvage import is_damage

    return is_damage(fact)


def _usage(error: Exception) -> None:
    message = getattr(error, "format_message", lambda: str(error))()
    if message.startswith("Usage:"):  # a group of verbs without a verb: its help
        note(message)
        return
    context = getattr(error, "ctx", None)
    if message:
        note(f"error: {message.strip().splitlines()[0]}")
    note(f"Try `{context.command_path if context else 'workbench'} --help`.")


def _refused_file(error: OSError) -> int:
    """Says which file could not be used; a name that no file can have is bad input."""
    where = str(error.filename or "a file")
    where = where if len(where) <= 200 else f"{where[:200]}…"
    fact = error.strerror or type(error).__name__
    print_error(StoreError.of(where, "it must be usable", fact, "Check the disk and its permissions."))
    return 2 if error.errno == errno.ENAMETOOLONG else 1


def _refused_by_database(error: Exception) -> int:
    fact = (str(getattr(error, "orig", None) or error).strip().splitlines() or [""])[0]
    damaged = _is_damage(fact)
    repair = "Run `workbench doctor`."
    if "locked" in fact:
        repair = "Another process holds it for long; try again."
    elif damaged:
        repair = "Save what can be saved: workbench doctor --salvage. It keeps the damaged file."
    print_error(StoreError.of("the database", "it must be readable and writable", fact, repair))
    return 2 if damaged else 1


def _unexpected(error: Exception) -> None:
    home = Path(os.environ.get("WORKBENCH_HOME") or Path.home() / ".workbench").expanduser()
    where = ""
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        with (home / "cli.log").open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv[1:])}\n")
            log.writelines(traceback.format_exception(error))
        where = f" The details are in {home / 'cli.log'}."
    first = (str(error).strip().splitlines() or [""])[0][:300]
    note(f"error: something unexpected happened ({type(error).__name__}: {first}).{where}")


def main() -> None:
    """The entry point of the `workbench` command."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal has no letters for is no error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
