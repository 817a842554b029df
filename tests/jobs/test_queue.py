"""The queue: order, hold, release, move; who may start on which device, and the truth about who waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.jobs import memory, steering
from workbench.jobs import queue as queueing
from workbench.jobs import runs as jobs
from workbench.jobs.slots import Place, Settings, candidates, cuda_devices, from_environment, from_text, plan
from workbench.records import Event, RunState
from workbench.specs.errors import RunError
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Query, RunRow, Store, open_store
from workbench.store.states import HOST, started_at

SPEC = preset("mlp-tiny").spec
GPUS = Settings({"cuda:0": 1, "cuda:1": 2, "cpu": 1})


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)
    return open_store()


def waiting(store: Store) -> list[str]:
    return [row.name for row in store.runs.waiting()]


def add(store: Store, *names: str, device: str = "auto") -> list[str]:
    spec = SPEC.with_changes(f"training.device={device}")
    return [jobs.submit(store, spec.with_changes(f"name={name}")) for name in names]


def at_work(store: Store, name: str, slot: str, *, peak: int = 0, spec: RunSpec = SPEC) -> RunRow:
    row = store.runs.create(spec.with_changes(f"name={name}"))
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST, slot=slot)
    store.runs.update(row.id, phase="running", peak_bytes=peak or None)
    return store.runs.get(row.id)


# ---------------------------------------------------------------- order


def test_a_run_is_moved_before_another_to_the_head_and_to_the_end(store: Store) -> None:
    a, b, c, d = add(store, "a", "b", "c", "d")
    jobs.move(store, d, a)
    assert waiting(store) == ["d", "a", "b", "c"]
    jobs.move(store, a, None)
    assert waiting(store) == ["d", "b", "c", "a"]
    jobs.move(store, "c", "b")
    assert waiting(store) == ["d", "c", "b", "a"]
    assert store.runs.next_queued().id == d  # type: ignore[union-attr]
    store.close()
    assert [row.id for row in open_store().runs.waiting()] == [d, c, b, a], "the order is in the database"


@settings(deadline=None, max_examples=20)
@given(moves=st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 4)), max_size=40))
def test_any_moves_leave_what_they_say_and_lose_nobody(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int | None]]
) -> None:
    store = open_store(tmp_path_factory.mktemp("queue"))
    ids = [store.runs.create(SPEC).id for _ in range(5)]
    order = list(ids)
    for who, before in moves:
        run_id, other = ids[who], None if before is None else ids[before]
        if run_id == other:
            continue
        assert store.runs.move(run_id, other)
        order.remove(run_id)
        order.insert(len(order) if other is None else order.index(other), run_id)
        assert [row.id for row in store.runs.waiting()] == order
    last = store.runs.create(SPEC).id
    assert [row.id for row in store.runs.waiting()] == [*order, last]
    store.close()


def test_a_new_run_goes_to_the_end_though_the_clock_was_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "first")
    import time

    real = time.time
    monkeypatch.setattr("time.time", lambda: real() - 86_400)
    add(store, "second", "third")
    assert waiting(store) == ["first", "second", "third"]


def test_a_held_run_is_passed_over_and_keeps_its_place(store: Store) -> None:
    a, b = add(store, "a", "b")
    assert [row.held for row in jobs.hold(store, [a])] == [True]
    assert store.runs.next_queued().id == b  # type: ignore[union-attr]
    assert not store.runs.claim(a, os.getpid(), started_at(os.getpid()), HOST), "not even by its process"
    assert jobs.why_waiting(store, store.runs.get(a)) == "Held: it waits to be released."
    jobs.release(store, [a])
    assert store.runs.next_queued().id == a  # type: ignore[union-attr]


def test_a_held_run_can_be_stopped(store: Store) -> None:
    (a,) = add(store, "a")
    jobs.hold(store, [a])
    assert jobs.stop(store, a).state is RunState.STOPPED


def test_only_what_waits_is_held_or_moved_and_one_that_does_not_spoils_none(store: Store) -> None:
    (a,) = add(store, "a")
    busy = at_work(store, "busy", "cpu")
    with pytest.raises(RunError, match="only a run that waits can be held, but it is running"):
        jobs.hold(store, [a, busy.id])
    assert not store.runs.get(a).held
    with pytest.raises(RunError, match="can be moved"):
        jobs.move(store, busy.id, a)
    with pytest.raises(RunError, match="can be moved before"):
        jobs.move(store, a, busy.id)


# ---------------------------------------------------------------- slots


def test_settings_survive_being_written_down() -> None:
    for given_ in (Settings(), GPUS, Settings({"cpu": 3}, memory=4_000_000_000)):
        assert from_text(given_.to_text()) == given_
    assert from_text("what an older version wrote") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"cuda:0": 1, "cuda:1": 1, "cpu": 1}),
        ("3", {"cuda:0": 3, "cuda:1": 3, "cpu": 3}),
        ("cpu=2, cuda=1, cuda:1=3", {"cuda:0": 1, "cuda:1": 3, "cpu": 2}),
        ("cuda:1=3,cuda=2", {"cuda:0": 2, "cuda:1": 3, "cpu": 1}),
        ("cpu=0", {"cuda:0": 1, "cuda:1": 1, "cpu": 0}),
        ("cpu=0,cuda=0", {"cuda:0": 0, "cuda:1": 0, "cpu": 1}),  # somewhere it must run
        ("nonsense=x,,=", {"cuda:0": 1, "cuda:1": 1, "cpu": 1}),
    ],
)
def test_slots_are_read_per_device(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: dict[str, int]
) -> None:
    monkeypatch.setenv("WORKBENCH_SLOTS", text)
    monkeypatch.setenv("WORKBENCH_MEMORY", "1.5 GB")
    assert from_environment(["cuda:0", "cuda:1", "cpu"]) == Settings(expected, 1_500_000_000)


def test_gpus_are_counted_as_cuda_will_number_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.jobs.slots.gpu_count", lambda: 4)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cu130")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cuda_devices() == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    for text, count in (("", 0), ("2", 1), ("2,0", 2), ("0,-1,1", 1), ("GPU-ab,MIG-cd", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
        assert len(cuda_devices()) == count, text
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cpu")
    assert cuda_devices() == [], "a torch built without CUDA has no use for them"


def test_auto_takes_a_gpu_where_there_is_one_and_the_cpu_where_there_is_none() -> None:
    assert candidates("auto", GPUS) == ["cuda:0", "cuda:1"]
    assert candidates("cuda", GPUS) == ["cuda:0", "cuda:1"]
    assert candidates("auto", Settings()) == ["cpu"]
    assert candidates("auto", Settings({"cuda:0": 0, "cpu": 1})) == ["cpu"]
    assert candidates("cuda:1", Settings()) == ["cuda:1"], "it fails there with the reason"


def planned(store: Store, settings: Settings, misfit: str | None = None) -> dict[str, Place]:
    rows = [row for row in store.runs.active() if row.at_work]
    found = plan(store.runs.waiting(), rows, settings, lambda *_: misfit)
    return {place.row.name: place for place in found}


def test_runs_go_to_the_least_loaded_gpu_and_nobody_is_overtaken_on_a_device(store: Store) -> None:
    at_work(store, "big", "cuda:1")
    for name, device in (("a", "auto"), ("b", "auto"), ("c", "auto"), ("d", "cpu"), ("e", "'cuda:0'")):
        store.runs.create(SPEC.with_changes(f"name={name}", f"training.device={device}"))
    found = planned(store, GPUS)
    assert {name: place.slot for name, place in found.items()} == {
        "a": "cuda:0", "b": "cuda:1", "c": None, "d": "cpu", "e": None,
    }  # fmt: skip
    assert "Waits for a (queued)" in found["c"].reason
    assert found["e"].reason == "Waits behind c."


def test_beside_another_run_the_memory_must_fit_and_alone_it_need_not(store: Store) -> None:
    add(store, "alone", "beside")
    found = planned(store, Settings({"cpu": 2}), misfit="It does not fit.")
    assert (found["alone"].slot, found["beside"].slot) == ("cpu", None)
    assert found["beside"].reason == "It does not fit."


def test_a_spec_that_this_version_cannot_read_does_not_hold_up_the_queue(store: Store) -> None:
    add(store, "odd", "even")
    odd = store.runs.get("odd")
    store.runs._set(odd.id, spec='{"version": 99}')
    assert planned(store, Settings({"cpu": 2}))["even"].slot == "cpu"


# ---------------------------------------------------------------- memory


def test_memory_is_measured_from_a_like_run_and_else_estimated(store: Store) -> None:
    row = store.runs.get(add(store, "new")[0])
    need, known = memory.expected(store, row)
    assert known == "estimated"
    assert need > 10_000_000
    done = at_work(store, "done", "cpu", peak=77_000_000, spec=SPEC.with_changes("seed=5"))
    assert memory.expected(store, row)[1] == "estimated", "it may grow still"
    store.runs.exit(done.id, "finished")
    assert memory.expected(store, row) == (77_000_000, "measured")
    other = store.runs.create(SPEC.with_changes("training.batch_size=512"))
    assert memory.expected(store, other)[1] == "estimated", "another batch is another memory"
    taught = store.runs.create(SPEC.with_changes(f"training.distill={{teacher: {done.id}}}"))
    assert memory.expected(store, taught)[1] == "estimated", "a teacher lies beside it"
    several = store.runs.create(SPEC.with_changes("training.processes=2"))
    assert memory.expected(store, several)[1] == "estimated", "two processes take twice as much"


def test_what_the_others_will_still_grow_by_is_kept_free(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = at_work(store, "done", "cpu", peak=400_000_000)
    store.runs.exit(done.id, "finished")
    young = at_work(store, "young", "cpu", peak=100_000_000)  # 300 MB to come
    row = store.runs.create(SPEC)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 699_000_000)
    assert memory.misfit(store, row, "cpu", [young]) == (
        "Its memory does not fit beside young: it needs 400 MB (measured), 399 MB is free on cpu."
    )
    monkeypatch.setattr(memory, "free_bytes", lambda _: 701_000_000)
    assert memory.misfit(store, row, "cpu", [young]) is None
    assert memory.misfit(store, row, "cpu", [young], limit=790_000_000) is not None
    assert memory.misfit(store, row, "cpu", [young], limit=810_000_000) is None
    assert "1.0 GB" in (memory.misfit(store, row, "cuda:0", [young]) or ""), "CUDA's own share counts there"


def test_free_memory_is_what_the_machine_and_the_container_leave() -> None:
    import psutil

    assert 0 < memory.free_bytes("cpu") <= psutil.virtual_memory().total
    assert memory.free_bytes("cuda:7") == 0, "none where there is no such GPU"


def test_what_every_device_does_is_told(store: Store) -> None:
    row = at_work(store, "busy", "cpu")
    uses = {use.slot: use for use in queueing.slots(store)}
    assert [run.id for run in uses["cpu"].runs] == [row.id]
    assert uses["cpu"].limit == 1
    parked = at_work(store, "parked", "cpu")
    store.runs.exit(parked.id, "parked")
    assert [run.id for run in {use.slot: use for use in queueing.slots(store)}["cpu"].runs] == [row.id]


# ---------------------------------------------------------------- parked, changed, offered


def test_a_parked_run_is_paused_without_a_process_and_resumes_through_the_queue(store: Store) -> None:
    row = at_work(store, "run", "cpu")
    jobs.park(store, row.id)
    assert [command.verb for command in store.commands.take(row.id)] == ["park"]
    store.runs.exit(row.id, "parked")
    row = jobs.park(store, row.id)
    assert (row.state, row.parked, row.at_work, row.silent_s) == (RunState.PAUSED, True, False, None)
    assert [found.name for found in store.runs.search(Query(states=["paused"]))[0]] == ["run"]
    jobs.resume(store, row.id)
    assert store.runs.get(row.id).state is RunState.QUEUED
    with pytest.raises(RunError, match=r"it has not started\. Hold it instead"):
        jobs.park(store, row.id)


def test_an_offer_is_taken_up_by_resuming_with_it(store: Store) -> None:
    row = at_work(store, "big", "cpu")
    store.checkpoints.write(row.id, "last", b"x", step=40, epoch=1.0, metrics={})
    with pytest.raises(RunError, match="what its error offers"):
        jobs.accept_offer(store, row.id)
    offer = {"text": "smaller", "changes": {"training.accumulation_steps": 2}}
    store.runs.exit(row.id, "failed", {"where": "w", "rule": "r", "fact": "f", "repair": "", "offer": offer})
    jobs.accept_offer(store, row.id)
    assert store.runs.get(row.id).state is RunState.QUEUED
    assert [(line.step, dict(line.changes)) for line in store.ledger.list(row.id)] == [
        (40, {"training.accumulation_steps": 2})
    ]
    told = [event for event in store.events.since(row.id)[0] if isinstance(event, Event)]
    assert [(event.kind, event.step, event.text) for event in told] == [
        ("changed", 40, "Parts of a batch 1 → 2")
    ]


# ---------------------------------------------------------------- many that wait


def test_held_runs_are_not_read_to_start_the_next_one_and_change_nobody_elses_reason(store: Store) -> None:
    a, b, c, d = add(store, "a", "b", "c", "d", device="cpu")
    at_work(store, "busy", "cpu")
    jobs.hold(store, [a, c])
    assert [row.id for row in store.runs.waiting(held=False)] == [b, d]
    told = {row.id: why for row, why in queueing.reasons(store)}
    assert told == {run_id: queueing.why_waiting(store, store.runs.get(run_id)) for run_id in (a, b, c, d)}
    assert told[a].startswith("Held")
    assert "busy" in told[b]
    assert told[d] == "Waits behind b."
    store.close()


def test_a_change_of_a_run_that_starts_in_this_moment_is_asked_of_its_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_id,) = add(store, "a")
    checked = steering.checked

    def then_claimed(*facts: Any) -> dict[str, Any]:
        wanted = checked(*facts)
        store.runs.claim(run_id, os.getpid(), started_at(os.getpid()), HOST)
        return wanted

    monkeypatch.setattr(steering, "checked", then_claimed)
    jobs.change(store, run_id, ["training.optimizer.lr=0.5"])
    assert store.ledger.list(run_id) == [], "its process has read the ledger already"
    (asked,) = store.commands.take(run_id)
    assert (asked.verb, asked.payload) == ("change", {"changes": {"training.optimizer.lr": 0.5}})
    store.close()


def test_a_run_for_a_device_that_takes_none_says_so_and_stands_in_nobodys_way(store: Store) -> None:
    bound, free = (store.runs.create(SPEC.with_changes(f"training.device={d}")) for d in ("cpu", "auto"))
    settings = Settings({"cpu": 0, "cuda:0": 1})
    first, second = plan([bound, free], [], settings, lambda *_: None)
    assert first.slot is None
    assert "WORKBENCH_SLOTS gives cpu no run" in first.reason
    assert second.slot == "cuda:0"
    store.close()
