"""Verbs about the queue: who waits and why, hold, release, move."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.terminal import Json, Run, console, print_json, report, run_json, table, the_store

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, starts of ids, or names of runs.")]


def queue(as_json: Json = False) -> None:
    """What each device does, and who waits, in order, and why."""
    from workbench.jobs import queue as jobs

    store = the_store()
    uses = jobs.slots(store)
    reasons = jobs.reasons(store)
    if as_json:
        slots = [{"slot": u.slot, "limit": u.limit, "runs": [r.id for r in u.runs]} for u in uses]
        waiting = [run_json(row, with_spec=False) | {"why": why} for row, why in reasons]
        print_json({"slots": slots, "waiting": waiting})
        return
    rows = table("device", "runs>", "at work")
    for use in uses:
        names = ", ".join(f"{row.name} ({row.id}, {row.state})" for row in use.runs)
        rows.add_row(use.slot, f"{len(use.runs)} of {use.limit}", names)
    console().print(rows)
    if not reasons:
        console().print("Nothing waits.")
        return
    rows = table("place>", "id!", "name", "why it waits")
    for place, (row, why) in enumerate(reasons, 1):
        rows.add_row(str(place), row.id, row.name, why)
    console().print(rows)


def hold(runs: Runs, as_json: Json = False) -> None:
    """Keep waiting runs from being started."""
    from workbench.jobs import runs as jobs

    for row in jobs.hold(the_store(), runs):
        report(row, as_json, said=f"{row.id} is held")


def release(runs: Runs, as_json: Json = False) -> None:
    """Let held runs be started when their turn comes."""
    from workbench.jobs import runs as jobs

    for row in jobs.release(the_store(), runs):
        report(row, as_json, said=f"{row.id} waits for its turn")


def move(
    run: Run,
    first: Annotated[bool, typer.Option("--first", help="To the head of the queue.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To its end.")] = False,
    before: Annotated[str | None, typer.Option(metavar="OTHER", help="Before this waiting run.")] = None,
    as_json: Json = False,
) -> None:
    """Give a waiting run another place in the queue."""
    from workbench.jobs import runs as jobs

    if first + last + (before is not None) != 1:
        raise typer.BadParameter("give one of --first, --last and --before OTHER")
    store = the_store()
    head = next(iter(store.runs.waiting()), None)
    place = before if before is not None else head.id if first and head else None
    row = jobs.move(store, run, place)
    order = [waiting.id for waiting in store.runs.waiting()]
    where = f"{order.index(row.id) + 1} of {len(order)}" if row.id in order else "no longer there"
    report(row, as_json, said=f"{row.id} is {where} in the queue")
