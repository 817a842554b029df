"""The hub: a snapshot, then increments; nothing twice, nothing missing, and nobody kept waiting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests.live import trainer
from tests.live.conftest import frames_of, of_kind, points, raw_frames_of, scalars
from tests.processes import at_its_quickest
from workbench.live import hub as hubs
from workbench.live import wire
from workbench.live.hub import Hubs, Viewer
from workbench.live.reader import Reader
from workbench.specs.errors import RunError
from workbench.store.states import HOST


def test_a_viewer_gets_a_snapshot_then_only_what_is_new(store, run_id):
    async def watch():
        store.flush(run_id, [scalars(1, 50)], step=50)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        first = await frames_of(viewer)
        store.flush(run_id, [scalars(51, 60)], step=60)
        later = await frames_of(viewer)
        hub.leave(viewer)
        return first, later

    first, later = asyncio.run(watch())
    snapshot = of_kind(first, "scalars")[0]
    assert snapshot[0]["snap"] is True
    assert points(*snapshot)["train/loss"][0].tolist() == list(range(1, 51))
    increment = of_kind(later, "scalars")
    assert len(increment) == 1
    assert increment[0][0]["snap"] is False
    assert points(*increment[0])["train/loss"][0].tolist() == list(range(51, 61))
    assert increment[0][0]["series"][0]["total"] == 60


def test_a_viewer_who_was_away_shortly_gets_only_the_rest(store, run_id):
    async def watch():
        store.flush(run_id, [scalars(1, 50)], step=50)
        registry, stayer, leaver, back = Hubs(lambda: store), Viewer(), Viewer(), Viewer()
        hub = await registry.join(run_id, stayer)
        await registry.join(run_id, leaver)
        cursor = of_kind(await frames_of(leaver), "scalars")[0][0]["cursor"]
        hub.leave(leaver)
        store.flush(run_id, [scalars(51, 70)], step=70)
        await frames_of(stayer)
        await registry.join(run_id, back, cursor)
        found = of_kind(await frames_of(back), "scalars")[0]
        hub.leave(back)
        hub.leave(stayer)
        return found

    found = asyncio.run(watch())
    assert found[0]["snap"] is False
    assert points(*found)["train/loss"][0].tolist() == list(range(51, 71))


def test_an_unknown_cursor_is_answered_with_everything(store, run_id):
    async def watch():
        store.flush(run_id, [scalars(1, 5)], step=5)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer, "cafe.17")
        found = of_kind(await frames_of(viewer), "scalars")[0]
        hub.leave(viewer)
        return found

    assert asyncio.run(watch())[0]["snap"] is True


def test_steps_walked_again_after_a_resume_replace_the_old_ones(store, run_id):
    async def watch():
        store.flush(run_id, [scalars(1, 100, value=1.0)], step=100)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        store.truncate_after(run_id, 40)
        store.flush(run_id, [scalars(41, 60, value=2.0)], step=60)
        found = of_kind(await frames_of(viewer), "scalars")
        hub.leave(viewer)
        return found

    head, payload = asyncio.run(watch())[-1]
    assert head["snap"] is True
    loss = points(head, payload)["train/loss"]
    assert loss[0].tolist() == list(range(1, 61))
    assert loss[3].tolist() == [1.0] * 40 + [2.0] * 20


def test_a_slow_viewer_is_cut_and_the_others_are_not(store, run_id, monkeypatch):
    monkeypatch.setattr(hubs, "MAX_BYTES", 20_000)

    async def watch():
        registry, slow, quick = Hubs(lambda: store), Viewer(), Viewer()
        hub = await registry.join(run_id, slow)
        await registry.join(run_id, quick)
        seen = []
        for i in range(8):
            store.flush(run_id, [scalars(1 + 100 * i, 100 + 100 * i)], step=100 * (i + 1))
            seen += of_kind(await frames_of(quick, 0.25), "scalars")
        slow_end = [await slow.next()] if slow.is_cut else []
        hub.leave(slow)
        hub.leave(quick)
        return (
            slow.is_cut,
            slow_end,
            sum(points(*frame)["train/loss"].shape[1] for frame in seen if frame[0]["series"]),
        )

    is_cut, end, quick_points = asyncio.run(watch())
    assert is_cut
    assert end == [None]
    assert quick_points == 800


def test_newer_pictures_replace_those_that_were_not_fetched():
    async def watch():
        viewer = Viewer()
        for i in range(5):
            viewer.put(b"picture %d" % i, "tiles:filters/0")
        viewer.put(b"points")
        return [await viewer.next(), await viewer.next()]

    assert asyncio.run(watch()) == [b"picture 4", b"points"]


def test_a_hub_goes_with_its_last_viewer(store, run_id):
    async def watch():
        registry, viewer = Hubs(lambda: store), Viewer()
        hub = await registry.join(run_id, viewer)
        during = registry.facts()
        hub.leave(viewer)
        await asyncio.sleep(0.3)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return during, registry.facts(), left

    during, after, left = asyncio.run(watch())
    assert during[run_id]["viewers"] == 1
    assert after == {}
    assert left == []


def test_a_run_that_does_not_exist_has_no_hub(store):
    async def watch():
        registry = Hubs(lambda: store)
        with pytest.raises(RunError, match="the run must exist"):
            await registry.join("nothing", Viewer())
        return registry.facts()

    assert asyncio.run(watch()) == {}


def test_deleting_a_watched_run_is_told(store, run_id):
    async def watch():
        store.runs.exit(run_id, "finished")
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        store.runs.delete(run_id)
        found = await frames_of(viewer, 1.2)
        hub.leave(viewer)
        return found

    assert [head["k"] for head, _ in asyncio.run(watch())] == ["gone"]


def test_a_killed_process_shows_as_lost_within_five_seconds(store):
    async def watch():
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            run = trainer.new_run(store)
            store.runs.claim(run, process.pid, psutil.Process(process.pid).create_time(), HOST)
            store.flush(run, [scalars(1, 5)], phase="running", step=5)
            viewer = Viewer()
            hub = await Hubs(lambda: store).join(run, viewer)
            assert of_kind(await frames_of(viewer), "status")[-1][0]["state"] == "running"
        finally:
            process.kill()
            process.wait()
        killed = time.monotonic()
        while (await first_of(viewer, "status"))["state"] != "lost":
            pass
        hub.leave(viewer)
        return time.monotonic() - killed

    assert at_its_quickest(lambda: asyncio.run(watch()), 5) < 5


def test_fifty_viewers_share_one_poller(store, run_id):
    async def watch():
        store.flush(run_id, [scalars(1, 100)], step=100)
        registry, viewers = Hubs(lambda: store), [Viewer() for _ in range(50)]
        for viewer in viewers:
            hub = await registry.join(run_id, viewer)
        polls = 0
        poll = hub.reader.poll

        def counted():
            nonlocal polls
            polls += 1
            return poll()

        hub.reader.poll = counted
        store.flush(run_id, [scalars(101, 110)], step=110)
        await asyncio.sleep(1.0)
        in_a_second = polls
        got = [of_kind(await frames_of(viewer, 0.01), "scalars")[-1][0]["cursor"] for viewer in viewers]
        for viewer in viewers:
            hub.leave(viewer)
        return in_a_second, got

    polls, got = asyncio.run(watch())
    assert polls <= 12
    assert len(set(got)) == 1


def test_a_second_look_at_the_machine_in_one_step_takes_nothing_back(store, run_id):
    """As at the end of a pause, or of a run: its last validation must stay."""
    store.flush(run_id, [scalars(1, 100), scalars(100, 100, "system/cpu_percent")], step=100)
    reader = Reader(store, run_id)
    reader.poll()
    store.flush(run_id, [scalars(100, 100, "val/loss"), scalars(100, 100, "system/cpu_percent")], step=100)
    assert reader.poll().starts == {"val/loss": 0, "system/cpu_percent": 1}
    assert {key: history.n for key, history in reader.histories.items()} == {
        "train/loss": 100, "system/cpu_percent": 2, "val/loss": 1,
    }  # fmt: skip


def test_who_comes_while_the_last_one_leaves_reads_every_point_once(store, run_id, monkeypatch):
    together, most = [0], [0]
    poll = Reader.poll

    def slow(reader):
        together[0] += 1
        most[0] = max(most[0], together[0])
        time.sleep(0.2)
        found = poll(reader)
        together[0] -= 1
        return found

    monkeypatch.setattr(Reader, "poll", slow)

    async def watch():
        registry, leaver, comer = Hubs(lambda: store), Viewer(), Viewer()
        hub = await registry.join(run_id, leaver)
        await asyncio.sleep(hubs.POLL_S + 0.05)  # in the middle of a poll
        coming = asyncio.create_task(registry.join(run_id, comer))
        await asyncio.sleep(0)
        hub.leave(leaver)
        await coming
        store.flush(run_id, [scalars(1, 5)], step=5)
        frames = await frames_of(comer, 0.8)
        hub.leave(comer)
        for _ in range(600):
            if hub._task.done():
                break
            await asyncio.sleep(0.05)
        return frames, hub._task.done()

    frames, is_over = asyncio.run(watch())
    assert most[0] == 1, "one poll at a time"
    assert [points(*f)["train/loss"].shape[1] for f in of_kind(frames, "scalars") if f[0]["series"]] == [5]
    assert is_over


@pytest.mark.parametrize(("keys", "steps"), [(1, 400), (4, 5_000), (10, 2_000), (10, 50_000), (40, 300)])
def test_a_tick_is_below_20_kb_and_holds_the_extremes_of_every_key(store, run_id, keys, steps):
    """A thousand steps a second and more, as a tiny model on a GPU makes them."""
    names = [f"key/{k}" for k in range(keys)]

    async def watch():
        store.flush(run_id, [scalars(1, 10, name) for name in names], step=10)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        store.flush(run_id, [scalars(11, 10 + steps, name) for name in names], step=10 + steps)
        frames = await raw_frames_of(viewer, 0.5)
        hub.leave(viewer)
        return sum(map(len, frames)), of_kind([wire.unpack(frame) for frame in frames], "scalars")

    size, frames = asyncio.run(watch())
    assert size < 20_000
    assert len(frames) == 1
    true = np.sin(np.arange(11, 11 + steps))
    for name, drawn in points(*frames[0]).items():
        assert name in names
        assert drawn[0, -1] == 10 + steps
        assert (drawn[3].min(), drawn[3].max(), drawn[3][-1]) == (true.min(), true.max(), true[-1])
    assert set(points(*frames[0])) == set(names)


def test_a_viewer_is_told_when_the_home_is_gone_and_when_it_is_back(store, run_id, home):
    async def watch():
        store.flush(run_id, [scalars(1, 5)], step=5)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        away = home.with_name("away")
        home.rename(away)
        told = await first_of(viewer, "trouble")
        away.rename(home)
        back = await first_of(viewer, "status")
        hub.leave(viewer)
        return told, back

    told, back = asyncio.run(watch())
    assert "it was removed or replaced" in told["text"]
    assert back["state"] == "running"


async def first_of(viewer, kind, seconds=60):
    """The header of the next frame of a kind."""
    deadline = time.monotonic() + seconds
    while True:
        frame = await asyncio.wait_for(viewer.next(), deadline - time.monotonic())
        head = wire.unpack(frame)[0]
        if head["k"] == kind:
            return head
