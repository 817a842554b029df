"""What viewers ask the hub for: pictures, the past, ranges, the log; what makes no sense is passed over."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.live import trainer
from tests.live.conftest import frames_of, of_kind, scalars
from workbench.live.hub import Hubs, Viewer


def test_pictures_reach_only_those_who_look_at_them(store, run_id):
    async def watch():
        store.flush(run_id, [trainer.filters(0, 10), trainer.maps(3, 10), trainer.probe()], step=10)
        registry, looks, other = Hubs(lambda: store), Viewer(), Viewer()
        hub = await registry.join(run_id, looks)
        await registry.join(run_id, other)
        await hub.answer(looks, {"op": "sub", "topics": ["tiles:filters/0", "tiles:maps/3@2", "panel:probe"]})
        first = await frames_of(looks)
        store.flush(run_id, [trainer.filters(0, 20), trainer.filters(3, 20)], step=20)
        later, unasked = await frames_of(looks), await frames_of(other)
        hub.leave(looks)
        hub.leave(other)
        return first, later, unasked

    first, later, unasked = asyncio.run(watch())
    tiles = {head["topic"]: head for head, _ in of_kind(first, "tiles")}
    assert set(tiles) == {"tiles:filters/0", "tiles:maps/3@2"}
    assert tiles["tiles:maps/3@2"]["n"] == 64
    assert of_kind(first, "panel")[0][0]["topic"] == "panel:probe"
    assert next(head["steps"] for head, _ in of_kind(first, "steps")) == [10]
    assert [(head["topic"], head["step"]) for head, _ in of_kind(later, "tiles")] == [("tiles:filters/0", 20)]
    assert not of_kind(unasked, "tiles")


def test_the_past_is_answered_to_the_one_who_asked(store, run_id):
    async def watch():
        for step in (10, 20, 30):
            store.flush(run_id, [trainer.filters(0, step)], step=step)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        await hub.answer(viewer, {"op": "at", "topics": ["tiles:filters/0"], "step": 25})
        found = await frames_of(viewer)
        hub.leave(viewer)
        return of_kind(found, "tiles")

    ((head, _),) = asyncio.run(watch())
    assert (head["step"], head["at"]) == (20, 25)


def test_a_range_is_answered_exactly(store, run_id):
    async def watch():
        part = scalars(1, 50_000)
        part.values[20_000] = 77.0
        store.flush(run_id, [part], step=50_000)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        await hub.answer(
            viewer, {"op": "range", "key": "train/loss", "x": "step", "lo": 10_000, "hi": 30_000, "px": 300}
        )
        found = await frames_of(viewer)
        hub.leave(viewer)
        return of_kind(found, "range")[0]

    head, payload = asyncio.run(watch())
    values = np.frombuffer(payload, "<f8").reshape(4, -1)
    assert head["total"] == 20_001
    assert values.shape[1] < 2000
    assert values[3].max() == 77.0


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "range", "key": "train/loss", "x": "step", "lo": 5, "hi": 5, "px": 100},
        {"op": "range", "key": "train/loss", "x": "step", "lo": 0, "hi": 5, "px": 10**9},
        {"op": "range", "key": "nothing", "x": "step", "lo": 0, "hi": 5, "px": 100},
        {"op": "sub", "topics": ["tiles:../../etc", 7, None, "x" * 500]},
        {"op": "at", "topics": ["tiles:nothing/1", 7], "step": 1},
        {"op": "delete"},
        {},
    ],
)
def test_requests_that_make_no_sense_are_passed_over(store, run_id, request_):
    async def watch():
        store.flush(run_id, [scalars(1, 9)], step=9)
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer, 0.1)
        await hub.answer(viewer, request_)
        found = await frames_of(viewer, 0.1)
        hub.leave(viewer)
        return found, viewer.topics

    found, topics = asyncio.run(watch())
    assert not [head for head, _ in found if head["k"] != "status"]
    assert not topics


def test_the_log_is_sent_from_its_end_and_then_as_it_grows(store, run_id):
    path = store.log_path(run_id)
    path.write_text("".join(f"line {i}\n" for i in range(30_000)))

    async def watch():
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await hub.answer(viewer, {"op": "sub", "topics": ["log"]})
        first = of_kind(await frames_of(viewer), "log")[0][0]
        with path.open("a") as file:
            file.write("the end: ü\n")
        later = of_kind(await frames_of(viewer), "log")
        await hub.answer(viewer, {"op": "log", "before": first["offset"]})
        earlier = of_kind(await frames_of(viewer), "log")[0][0]
        hub.leave(viewer)
        return first, later, earlier

    first, later, earlier = asyncio.run(watch())
    assert first["snap"]
    assert first["more"]
    assert first["text"].startswith("line ")
    assert first["text"].endswith("line 29999\n")
    assert "".join(head["text"] for head, _ in later) == "the end: ü\n"
    assert earlier["end"] == first["offset"]
    assert earlier["text"].endswith("\n")


def test_the_log_is_searched_and_paged_over_the_socket(store, run_id):
    path = store.log_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"line {i}\n" for i in range(1, 50_001)))

    async def watch():
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run_id, viewer)
        await frames_of(viewer)
        await hub.answer(viewer, {"op": "find", "text": "LINE 777", "before": None})
        found = of_kind(await frames_of(viewer), "found")
        await hub.answer(viewer, {"op": "page", "at": found[0][0]["lines"][0][1]})
        page = of_kind(await frames_of(viewer), "page")
        for odd in (
            {"op": "find", "text": "x" * 10_000, "before": None},
            {"op": "find", "text": 3, "before": None},
            {"op": "page", "at": "0"},
        ):
            await hub.answer(viewer, odd)
        rest = await frames_of(viewer)
        hub.leave(viewer)
        return found, page, rest

    found, page, rest = asyncio.run(watch())
    numbers = [line[0] for line in found[0][0]["lines"]]
    assert numbers == [777, *range(7770, 7780)]
    head = page[0][0]
    assert head["text"].splitlines()[777 - head["line"]] == "line 777"
    assert not of_kind(rest, "found")
    assert not of_kind(rest, "page")
