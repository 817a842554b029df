"""One hub per watched run: polls its reader and hands frames to all viewers. Gone when the last leaves.

Frames are made once and shared. A viewer who cannot keep up is cut off and comes back with its
cursor; pictures and states that it has not fetched yet are replaced by newer ones instead of queueing.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from workbench.live import wire
from workbench.live.history import Axis
from workbench.live.logfile import MAX_WORD
from workbench.live.reader import News, Reader, layer_names
from workbench.records import Panel, Tiles
from workbench.specs.errors import RunError, StoreError, WorkbenchError
from workbench.store import Store, open_store

log = logging.getLogger("workbench.live")

POLL_S = 0.1
IDLE_POLL_S = 0.5  # for a run that is over: it can only be resumed or deleted
WHOLE = 4096  # points a key that are sent as they are; more are thinned
BUCKETS = 1024  # of a thinned snapshot
TICK_POINTS = 512  # of all keys together in an increment, 32 bytes each: a tick stays below 20 kB
EVENTS = 500
MAX_BYTES = 8 * 2**20  # waiting for one viewer; beyond, it is cut off
MAX_COLUMNS = 4096
MAX_TOPICS = 64
FARTHEST = 1e15  # steps, epochs or seconds that a viewer may ask for; JSON knows larger numbers than we
TWICE = re.compile(r"\.(self|cross)$")  # a decoder's layer attends twice
TOPIC = re.compile(r"log|(tiles|panel):[a-z_]{1,32}(/[a-z0-9_.]{1,80})?(@\d{1,3})?(~[1-9]\d{0,2})?")


class Viewer:
    """One socket's outbox. Frames with the same key replace each other while they wait."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.is_cut = False
        self._frames: dict[object, bytes] = {}
        self._bytes = 0
        self._ready = asyncio.Event()

    def put(self, frame: bytes, key: str | None = None) -> None:
        name: object = key if key is not None else object()
        self._bytes += len(frame) - len(self._frames.get(name, b""))
        self._frames[name] = frame
        if self._bytes > MAX_BYTES:
            self.cut()
        self._ready.set()

    def cut(self, *, drain: bool = False) -> None:
        """Let this viewer go; `next` ends at once, or with `drain` after what waits."""
        self.is_cut = True
        if not drain:
            self._frames.clear()
        self._ready.set()

    async def next(self) -> bytes | None:
        """The next frame; None when the viewer was cut off."""
        while not self._frames:
            if self.is_cut:
                return None
            self._ready.clear()
            await self._ready.wait()
        name = next(iter(self._frames))
        frame = self._frames.pop(name)
        self._bytes -= len(frame)
        return frame


class Hub:
    """Viewers of one run."""

    def __init__(self, store: Store, run_id: str, on_empty: Callable[[Hub], None]) -> None:
        self.reader = Reader(store, run_id)
        self.viewers: set[Viewer] = set()
        self._on_empty = on_empty
        self._lock = asyncio.Lock()  # one poll at a time, and none while a viewer joins
        self._task: asyncio.Task[None] | None = None
        self._snapshot: tuple[str, bytes] | None = None
        self._pictures: dict[str, bytes] = {}  # topic as subscribed → its newest frame
        self._steps: dict[str, list[int]] = {}  # topic in the store → the steps it was seen at
        self._in_trouble = False  # the last poll failed
        self._log_end: int | None = None  # bytes of the log that were sent; None while nobody reads it

    # ------------------------------------------------------------ viewers

    async def join(self, viewer: Viewer, cursor: str = "") -> None:
        """Bring a viewer up to date, then let it take part. Raises RunError when the run does not exist."""
        async with self._lock:
            news = await asyncio.to_thread(self.reader.poll)
            if news.gone:
                raise RunError.of(f"run `{self.reader.run_id}`", "the run must exist", "it does not")
            await self._publish(news)
            viewer.put(wire.pack("status", self.reader.status()), "status")
            viewer.put(self._topics_frame(), "topics")
            viewer.put(await asyncio.to_thread(self._catch_up, cursor), None)
            viewer.put(wire.events(self.reader.events[-EVENTS:], snap=True))
            self.viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        if not self.viewers:  # the loop ends by itself: a cancelled poll would go on beside the next one
            self._on_empty(self)

    async def answer(self, viewer: Viewer, request: dict[str, Any]) -> None:
        """Do what a viewer asked over its socket. Unknown requests are ignored."""
        match request:
            case {"op": "sub", "topics": [*topics]}:
                known = [t for t in topics if isinstance(t, str) and TOPIC.fullmatch(t)]
                await self._subscribe(viewer, known[: max(0, MAX_TOPICS - len(viewer.topics))])
            case {"op": "unsub", "topics": [*topics]}:
                viewer.topics.difference_update(t for t in topics if isinstance(t, str))
                if not self._wanted("log"):
                    self._log_end = None
            case {"op": "range", "key": str(key), "x": ("step" | "epoch" | "time") as axis,
                  "lo": int() | float() as lo, "hi": int() | float() as hi, "px": int(px)}:  # fmt: skip
                if (
                    key in self.reader.histories
                    and -FARTHEST <= lo < hi <= FARTHEST
                    and 1 <= px <= MAX_COLUMNS
                ):
                    frame = await asyncio.to_thread(_range, self.reader, key, axis, float(lo), float(hi), px)
                    viewer.put(frame, f"range:{key}")
            case {"op": "at", "topics": [*topics], "step": int(step)} if 0 <= step <= FARTHEST:
                asked = [t for t in topics[:MAX_TOPICS] if isinstance(t, str) and TOPIC.fullmatch(t)]
                for topic, picture in (await asyncio.to_thread(self._pictures_of, asked, step)).items():
                    viewer.put(picture, f"at:{topic}")
            case {"op": "log", "before": int(before)}:
                head = await asyncio.to_thread(self.reader.log.read, None, before)
                viewer.put(wire.pack("log", {**head, "snap": False, "earlier": True}))
            case {"op": "page", "at": int(at)}:
                viewer.put(wire.pack("page", await asyncio.to_thread(self.reader.log.page, at)), "page")
            case {"op": "find", "text": str(text), "before": (int() | None) as before} if (
                len(text) <= MAX_WORD
            ):
                head = await asyncio.to_thread(self.reader.log.find, text, before)
                viewer.put(wire.pack("found", {**head, "text": text, "earlier": before is not None}), "found")
            case _:
                pass

    async def _subscribe(self, viewer: Viewer, topics: list[str]) -> None:
        """Bring a viewer the newest of these topics; one trip to the store for all of them."""
        async with self._lock:
            viewer.topics.update(topics)
            if "log" in topics:
                head = await asyncio.to_thread(self.reader.log.read, None, self._log_end)
                self._log_end = head["end"]
                viewer.put(wire.pack("log", {**head, "snap": True, "earlier": False}))
            pictures = [topic for topic in topics if topic != "log"]
            missing = [topic for topic in pictures if topic not in self._pictures]
            self._pictures |= await asyncio.to_thread(self._pictures_of, missing)
            for topic in pictures:
                if topic in self._pictures:
                    viewer.put(self._pictures[topic], topic)
            for frame in await self._steps_frames(map(_stored, pictures)):
                viewer.put(frame)

    # ------------------------------------------------------------ the loop

    async def _run(self) -> None:
        while any(not viewer.is_cut for viewer in self.viewers):
            row = self.reader.row
            await asyncio.sleep(IDLE_POLL_S if row is not None and row.state.is_over else POLL_S)
            try:
                async with self._lock:
                    await self._publish(await asyncio.to_thread(self.reader.poll))
                if self._in_trouble:
                    self._in_trouble = False
                    self._tell(wire.pack("status", self.reader.status()), "status")
            except Exception as error:  # a locked database, a full disk: the next poll may succeed
                if not self._in_trouble:
                    log.exception("reading run %s failed", self.reader.run_id)
                    self._tell(wire.pack("trouble", {"text": trouble(error)}), "trouble")
                self._in_trouble = True
                await asyncio.sleep(1.0)

    async def _publish(self, news: News) -> None:
        if news.gone:
            self._tell(wire.pack("gone", {"run": self.reader.run_id}))
            for viewer in self.viewers:
                viewer.cut(drain=True)
            return
        if news.starts is None:
            self._pictures.clear()
            self._steps.clear()
            self._tell(await asyncio.to_thread(self._catch_up, ""))
            watched = {_stored(t) for v in self.viewers for t in v.topics if t != "log"}
            for frame in await self._steps_frames(watched):
                self._tell(frame)
        elif news.starts:
            self._tell(await asyncio.to_thread(self._increment, news.starts))
        if news.events:
            self._tell(wire.events(news.events, snap=False))
        if news.snapshots:
            await self._show(news)
        if news.row is not None:
            self._tell(wire.pack("status", self.reader.status()), "status")
        if self._wanted("log"):
            head = await asyncio.to_thread(self.reader.log.read, self._log_end)
            if head["text"]:
                self._log_end = head["end"]
                self._tell(wire.pack("log", {**head, "snap": False, "earlier": False}), topic="log")

    async def _show(self, news: News) -> None:
        """Send new pictures to those who look at them."""
        self._tell(self._topics_frame(), "topics")
        due: list[str] = []
        for row in news.snapshots:
            wanted = {t for v in self.viewers for t in v.topics if _stored(t) == row.topic}
            for known in [t for t in self._pictures if _stored(t) == row.topic and t not in wanted]:
                del self._pictures[known]
            if row.topic in self._steps:
                self._steps[row.topic].append(row.step)
                frame = wire.pack("steps", {"topic": row.topic, "steps": [row.step], "add": True})
                for viewer in self.viewers:
                    if any(_stored(t) == row.topic for t in viewer.topics):
                        viewer.put(frame)
            due += [topic for topic in wanted if topic.partition(":")[0] == row.kind]
        found = await asyncio.to_thread(self._pictures_of, due) if due else {}
        self._pictures |= found
        for topic, picture in found.items():
            self._tell(picture, topic, topic=topic)

    def _tell(self, frame: bytes, key: str | None = None, *, topic: str | None = None) -> None:
        for viewer in self.viewers:
            if topic is None or topic in viewer.topics:
                viewer.put(frame, key)

    def _wanted(self, topic: str) -> bool:
        return any(topic in viewer.topics for viewer in self.viewers)

    # ------------------------------------------------------------ frames

    def _topics_frame(self) -> bytes:
        topics = self.reader.topics
        names = layer_names(self.reader.spec, inside=True) if self.reader.spec else {}
        layers = {t: names.get(TWICE.sub("", t.partition("/")[2]), "") for t in topics if "/" in t}
        return wire.pack("topics", {"topics": topics, "layers": layers})

    async def _steps_frames(self, stored: Iterable[str]) -> list[bytes]:
        """At which steps each topic was seen, for the scrub bar."""
        topics = dict.fromkeys(stored)
        missing = [topic for topic in topics if topic not in self._steps]
        seen, run = self.reader.store.snapshots.steps, self.reader.run_id
        self._steps |= await asyncio.to_thread(lambda: {topic: seen(run, topic) for topic in missing})
        return [
            wire.pack("steps", {"topic": topic, "steps": self._steps[topic], "add": False})
            for topic in topics
        ]

    def _catch_up(self, cursor: str) -> bytes:
        """All points, thinned; or only those after a cursor that is still known."""
        marks = self.reader.marks_at(cursor) if cursor else None
        if marks is not None:
            return self._increment({key: marks.get(key, 0) for key in self.reader.histories})
        if self._snapshot is None or self._snapshot[0] != self.reader.cursor:
            series = [(k, h.thinned(0, WHOLE, BUCKETS), h.total) for k, h in self.reader.histories.items()]
            frame = wire.scalars(series, snap=True, cursor=self.reader.cursor)
            self._snapshot = (self.reader.cursor, frame)
        return self._snapshot[1]

    def _increment(self, starts: dict[str, int]) -> bytes:
        """New points: all of them while they are few, else as many of each key as a tick may hold."""
        histories = self.reader.histories
        new = {key: histories[key].n - start for key, start in starts.items()}
        few = sum(new.values()) <= TICK_POINTS
        share = max(new.values(), default=0) if few else TICK_POINTS // len(new)
        series = [
            (key, histories[key].thinned(start, share, max(1, share // 4)), histories[key].total)
            for key, start in starts.items()
        ]
        return wire.scalars(series, snap=False, cursor=self.reader.cursor)

    def _pictures_of(self, topics: Iterable[str], step: int | None = None) -> dict[str, bytes]:
        """Frames by topic, of those that there are."""
        found = {topic: self._picture(topic, step) for topic in topics}
        return {topic: frame for topic, frame in found.items() if frame is not None}

    def _picture(self, topic: str, step: int | None = None) -> bytes | None:
        """The frame for "tiles:<topic>" or "panel:<topic>"; "@2": only that part, "~64": no side longer."""
        whole, _, side = topic.partition("~")
        part = whole.partition("@")[2]
        record = self.reader.store.snapshots.load(self.reader.run_id, _stored(topic), step)
        if isinstance(record, Tiles):
            chosen, most = (int(text) if text.isdigit() else None for text in (part, side))
            return wire.tiles(record, topic=topic, part=chosen, at=step, most=most)
        if isinstance(record, Panel):
            return wire.panel(record, topic=topic, at=step)
        return None


class Hubs:
    """The hubs of this process, by run id."""

    def __init__(self, opener: Callable[[], Store] = open_store) -> None:
        self._opener = opener
        self._store: Store | None = None
        self._opening = asyncio.Lock()
        self._hubs: dict[str, Hub] = {}

    async def join(self, run_id: str, viewer: Viewer, cursor: str = "") -> Hub:
        """The run's hub, with `viewer` in it. Raises RunError when the run does not exist."""
        async with self._opening:  # the first viewers come together, and one store serves them all
            if self._store is not None:
                try:
                    self._store.must_be_there()
                except StoreError:  # the home was removed or replaced: look at what is there now
                    self.close()
                    self._hubs.clear()
            if self._store is None:
                self._store = await asyncio.to_thread(self._opener)
        hub = self._hubs.get(run_id)
        if hub is None:
            hub = self._hubs[run_id] = Hub(self._store, run_id, self._drop)
        try:
            await hub.join(viewer, cursor)
        except BaseException:
            if not hub.viewers:
                self._drop(hub)
            raise
        self._hubs.setdefault(run_id, hub)  # its last viewer may have left while this one came
        return hub

    def _drop(self, hub: Hub) -> None:
        if self._hubs.get(hub.reader.run_id) is hub:
            del self._hubs[hub.reader.run_id]

    def facts(self) -> dict[str, Any]:
        """Who watches what, for tests and the doctor."""
        return {
            run_id: {
                "viewers": len(hub.viewers),
                "points": sum(h.total for h in hub.reader.histories.values()),
            }
            for run_id, hub in self._hubs.items()
        }

    def close(self) -> None:
        for hub in list(self._hubs.values()):
            for viewer in list(hub.viewers):
                viewer.cut()
        if self._store is not None:
            self._store.close()
            self._store = None


def trouble(error: Exception) -> str:
    """What a viewer is told when the store cannot be read."""
    if isinstance(error, WorkbenchError):
        return error.problems[0].sentence()
    fact = str(getattr(error, "orig", None) or "it does not answer").splitlines()[0]
    return f"The store cannot be read: {fact}."


def _stored(topic: str) -> str:
    """The store's name of a subscribed topic: "tiles:maps/3@2~64" → "maps/3"."""
    return topic.partition(":")[2].partition("~")[0].partition("@")[0]


def _range(reader: Reader, key: str, axis: Axis, lo: float, hi: float, columns: int) -> bytes:
    points, total = reader.between(key, axis, lo, hi, columns)
    head = {"key": key, "lo": lo, "hi": hi, "x": axis, "n": points.shape[1], "total": total, "px": columns}
    return wire.pack("range", head, points.astype("<f8", copy=False))
