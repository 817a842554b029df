"""Which changes a run takes while it lives, and its ledger as it stands. Torch is never loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.records import Change, Event, RunState
from workbench.specs.errors import RunError, SpecError
from workbench.specs.run import RunSpec
from workbench.specs.steer import STEERABLE, differences, parse_changes, sentence, steered, steered_by_line
from workbench.store import RunRow, Store

START = "start"  # the checkpoint that a fork was given, kept with the fork: its parent may move on or go


def checked(store: Store, row: RunRow, changes: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """`changes` as path → value, when they may be made in this run now. Raises SpecError, RunError."""
    texts = [] if isinstance(changes, Mapping) else [text for text in changes if "=" in text]
    paths = list(changes) if isinstance(changes, Mapping) else [text.partition("=")[0] for text in texts]
    for path in paths:
        if path not in STEERABLE:
            if texts and not path.startswith(tuple(f"{known}." for known in STEERABLE)):
                row.spec.with_changes(*texts)  # a name that no spec has is another mistake
            raise _only_forkable(row, path)
    wanted = dict(changes) if isinstance(changes, Mapping) else parse_changes(changes)
    if not wanted:
        raise SpecError.of(
            "changes", "a change names what is to change", "none was given", "Write a.b=value."
        )
    if row.state is RunState.FINISHED:
        raise RunError.of(
            f"run `{row.name}`", "only a run that is not over can be changed", "it finished",
            f"Fork it: workbench fork {row.id} --set {paths[0]}=….",
        )  # fmt: skip
    steered(now(store, row), wanted)
    return wanted


def differs(store: Store, row: RunRow, wanted: Mapping[str, Any]) -> bool:
    """Whether `wanted` is something else than what is in force."""
    spec = now(store, row)
    return steered(spec, wanted) != spec


def now(store: Store, row: RunRow, upto: int | None = None) -> RunSpec:
    """The spec of a run with its ledger in force: all of it, or the lines up to a step."""
    return with_ledger(row.spec, store, row.id, upto)


def with_ledger(spec: RunSpec, store: Store, run_id: str, upto: int | None = None) -> RunSpec:
    """`spec` with the ledger of a run in force. Raises SpecError, StoreError for a line that cannot be."""
    for line in store.ledger.list(run_id):
        if upto is None or line.step <= upto:
            spec = steered_by_line(spec, line.step, line.changes)
    return spec


def write(store: Store, row: RunRow, changes: Mapping[str, Any]) -> bool:
    """A line of the ledger at the step from which a run without a process will go on, and its event.

    False, and nothing is written, when a process took the run in this very moment.
    """
    last = next((info for info in store.checkpoints.list(row.id) if info.name == "last"), None)
    change = Change(last.step if last else 0, dict(changes), time.time())
    before = now(store, row, upto=change.step)
    if not store.ledger.rewrite(row.id, change, pid=row.pid):
        return False
    if last is not None:  # a run that starts at step 0 tells of its ledger itself
        changed = differences(before, steered(before, changes))
        facts = {"changes": {path: list(pair) for path, pair in changed.items()}}
        event = Event("changed", sentence(changed), last.step, last.epoch, change.time, facts)
        store.events.add(row.id, event)
    return True


def _only_forkable(row: RunRow, path: str) -> SpecError:
    whole = next((known for known in STEERABLE if path.startswith(known + ".")), None)
    if whole:
        return SpecError.of(
            path, "some parts of a spec are changed as a whole", f"`{path}` is a part of {whole}",
            f"Write all of it: '{whole}={{…}}'.",
        )  # fmt: skip
    return SpecError.of(
        path, f"a run can be changed in {', '.join(STEERABLE)}", "everything else takes a fork",
        f"Fork it: workbench fork {row.id} --set {path}=….",
    )  # fmt: skip
