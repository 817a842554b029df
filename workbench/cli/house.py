"""Verbs about the house itself: `up` and `doctor`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import Json, note, print_json, the_store
from workbench.specs.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.store import Store

KEEP_EVERY_S = 20.0  # how often the supervisor is told that it is needed
LOOK_EVERY_S = 2.0  # how often it is looked for: a killed one is missed this long at most
SALVAGE = "Save what can be saved: workbench doctor --salvage. It keeps the damaged file."
NEEDED = (
    "torch",
    "streamlit",
    "plotly",
    "pydantic",
    "sqlalchemy",
    "numpy",
    "pillow",
    "safetensors",
    "psutil",
)


def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="PORT", help="The port; 0 takes a free one.")
    ] = 8501,
    is_open: Annotated[
        bool,
        typer.Option(
            "--insecure-without-login", help="Listen beyond this machine although nobody has to log in."
        ),
    ] = False,
) -> None:
    """Start the app and print its address.

    Ctrl-C stops the app only; trainings go on.
    """
    from workbench.jobs.launch import ensure_supervisor, supervisor
    from workbench.live.serve import announce, serve

    store = the_store()
    over = threading.Event()

    def keep() -> None:
        # Keeps the supervisor from leaving as unneeded, and brings a killed one back.
        told = -KEEP_EVERY_S
        while True:
            try:
                if time.monotonic() - told >= KEEP_EVERY_S or supervisor(store) is None:
                    ensure_supervisor(store)
                    told = time.monotonic()
            except Exception as error:
                note(f"The supervisor could not be started: {error}")
            if over.wait(LOOK_EVERY_S):
                return

    def ready(url: str) -> None:  # only now: a refused address or a taken port starts nothing
        threading.Thread(target=keep, daemon=True).start()
        announce(url)

    _end_in_order()
    try:
        serve(host, port, is_open=is_open, on_ready=ready)
    finally:
        over.set()
    note(f"\nThe app has stopped. {_going_on(store)}")


def _end_in_order() -> None:
    """SIGTERM and a closed terminal (SIGHUP) end the app as Ctrl-C does, not in the middle of a word."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not the main thread: somebody else minds the signals
        signal.signal(signal.SIGTERM, interrupt)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def _going_on(store: Store) -> str:
    active = [row for row in store.runs.active() if row.at_work]
    if not active:
        return "No training was running."
    names = ", ".join(f"{row.name} ({row.id}, {row.state})" for row in active[:5])
    goes = "training goes" if len(active) == 1 else "trainings go"
    return f"{len(active)} {goes} on in the background: {names}. Stop one: workbench stop {active[0].id}."


def doctor(
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="Save what can be read of a damaged database into a new one."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the environment and the store.

    The exit code is 1 when something is missing.
    """
    if salvage:
        from workbench.cli.salvaging import salvage_database

        salvage_database(as_json)
        return
    found = [_python(), *_packages(), _store(), _disk(), _gpu(), _supervisor(), *_silent()]
    if as_json:
        print_json(found)
    else:
        for item in found:
            print(f"{'ok ' if item['ok'] else 'BAD'}  {item['check']}: {item['fact']}")
            if not item["ok"]:
                print(f"     {item['repair']}")
    if not all(item["ok"] for item in found):
        raise typer.Exit(1)


def _found(check: str, ok: bool, fact: str, repair: str = "") -> dict[str, Any]:
    return {"check": check, "ok": ok, "fact": fact, "repair": "" if ok else repair}


def _python() -> dict[str, Any]:
    ok = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return _found(
        "Python", ok, f"{platform.python_version()} at {sys.executable}", "Use Python 3.11 or 3.12."
    )


def _packages() -> list[dict[str, Any]]:
    found = []
    for name in NEEDED:
        try:
            version = importlib.metadata.version(name)
            found.append(_found(name, True, version))
        except importlib.metadata.PackageNotFoundError:
            found.append(
                _found(name, False, "not installed", "Run `make run`, or pip install -r requirements.txt.")
            )
    return found


def _store() -> dict[str, Any]:
    try:
        store = the_store()
        n = store.runs.count()
        probe = store.home / f".doctor-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
        if wrong := _damage():
            return _found("store", False, f"the database is damaged: {wrong}", SALVAGE)
        return _found("store", True, f"{n} runs at {store.home}")
    except WorkbenchError as error:
        first = error.problems[0]
        return _found("store", False, f"{first.where}: {first.fact}", first.repair)
    except OSError as error:
        return _found("store", False, f"the home cannot be written: {error.strerror}", "Set WORKBENCH_HOME.")


def _damage() -> str | None:
    from workbench.store.salvage import problems
    from workbench.store.store import database_file, places

    file = database_file(places()[1])
    return problems(file) if file and file.exists() else None


def _silent() -> list[dict[str, Any]]:
    """Runs whose process exists and gives no sign of life."""
    from workbench.live.silence import silence

    try:
        rows = [row for row in the_store().runs.active() if row.at_work]
    except Exception:  # the store's own line says what is wrong with it
        return []
    found = []
    for row in rows:
        if said := silence(row):
            repair = f"Continue or end its process: kill -CONT {row.pid}, kill -9 {row.pid}; then resume it."
            found.append(_found(f"run {row.id} ({row.name})", False, said, repair))
    return found


def _disk() -> dict[str, Any]:
    try:
        free = shutil.disk_usage(the_store().artifacts).free
    except (WorkbenchError, OSError):
        return _found("disk", False, "the artifact folder is not there", "Set WORKBENCH_ARTIFACTS.")
    return _found("disk", free > 1e9, f"{free / 1e9:.1f} GB free", "Free some space: checkpoints need it.")


def _gpu() -> dict[str, Any]:
    from workbench.jobs.check import gpu_count

    n = gpu_count()
    return _found("GPU", True, f"{n} NVIDIA GPU{'s' if n != 1 else ''}; {os.cpu_count()} CPU cores")


def _supervisor() -> dict[str, Any]:
    from workbench.jobs.launch import supervisor

    try:
        present = supervisor(the_store())
    except WorkbenchError:
        present = None
    fact = f"process {present.pid}" if present else "not running; the next run starts it"
    return _found("supervisor", True, fact)
