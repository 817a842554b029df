"""Checkpoints: bytes under a name, atomic, with a checksum; the old one stays until the new is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, select

from workbench.specs.base import did_you_mean
from workbench.specs.errors import RunError, StoreError
from workbench.store.files import write_whole
from workbench.store.schema import checkpoints

INT8 = "int8-"  # int8-dynamic, int8-static: variants of a state of the run
FILE = re.compile(r"\.?(.+)-\d{10,}-[0-9a-f]+\.safetensors")  # and what a temporary file's name adds
ABANDONED_S = 3600.0  # a file without a row may be another process's that is being written: for so long


def is_own(name: str) -> bool:
    """Whether a checkpoint of that name is a state of its run's own training."""
    return name in ("best", "last") or name.startswith("step-")


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint without opening it."""

    name: str  # "last", "best" or "step-N"; "start" and "teacher" are others'; "int8-…" variants
    step: int
    epoch: float
    time: float
    bytes: int
    metrics: Mapping[str, float]

    @property
    def is_own(self) -> bool:
        """A state of the run's own training; what it started from, its teacher and int8 variants are none."""
        return is_own(self.name)

    @property
    def can_answer(self) -> bool:
        """A model of this run: a state of its training, or an int8 variant made of one."""
        return self.is_own or self.name.startswith(INT8)


class Checkpoints:
    """Write, list and read with verification."""

    def __init__(self, engine: Engine, folder_of: Callable[[str], Path]) -> None:
        self._engine = engine
        self._folder_of = folder_of

    def write(
        self, run_id: str, name: str, blob: bytes, *, step: int, epoch: float, metrics: Mapping[str, float]
    ) -> None:
        """Keep `blob` as checkpoint `name`.

        The file's name carries the step, so that the row names the old file until the new one is
        whole and the row is changed; only then is the old file removed.
        """
        file = f"checkpoints/{name}-{step:010d}-{time.time_ns():x}.safetensors"
        write_whole(self._folder_of(run_id) / file, blob)
        values = {
            "file": file, "sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob), "step": step,
            "epoch": epoch, "time": time.time(), "metrics": json.dumps(dict(metrics)),
        }  # fmt: skip
        this = (checkpoints.c.run_id == run_id) & (checkpoints.c.name == name)
        with self._engine.begin() as connection:
            old = connection.execute(select(checkpoints.c.file).where(this)).scalars().all()
            connection.execute(delete(checkpoints).where(this))
            connection.execute(checkpoints.insert().values(run_id=run_id, name=name, **values))
            named = select(checkpoints.c.file).where(checkpoints.c.run_id == run_id)
            kept = set(connection.execute(named).scalars())
        for replaced in old:
            (self._folder_of(run_id) / replaced).unlink(missing_ok=True)
        self._tidy(self._folder_of(run_id), name, kept)

    def _tidy(self, folder: Path, name: str, kept: set[str]) -> None:
        """Remove what killed processes left half written or without its row.

        Another process may be writing to the same run, an int8 variant say. The run's own states have one
        writer, which is here now, so that a file of such a name without a row is nobody's; other files are
        when they are old.
        """
        now = (folder / "checkpoints").stat().st_mtime  # by the clock of the disk: something was just written
        for path in (folder / "checkpoints").iterdir():
            if f"checkpoints/{path.name}" in kept:
                continue
            found = FILE.match(path.name)
            with contextlib.suppress(FileNotFoundError):  # its writer has just moved it into its place
                mine = is_own(name) and found is not None and found[1] == name
                if mine or now - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def read(self, run_id: str, name: str = "best") -> bytes:
        """The bytes of a checkpoint, verified. Raises RunError (no such one) or StoreError (damaged)."""
        this = (checkpoints.c.run_id == run_id) & (checkpoints.c.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(select(checkpoints).where(this)).first()
        if row is None:
            names = [info.name for info in self.list(run_id)]
            hint = did_you_mean(name, names) if names else "The run has not saved one yet."
            raise RunError.of("checkpoint", "the checkpoint must exist", f"`{name}` does not", hint)
        path = self._folder_of(run_id) / row.file
        try:
            blob: bytes = path.read_bytes()
        except OSError as error:
            with self._engine.connect() as connection:
                now = connection.execute(select(checkpoints.c.file).where(this)).scalar()
            if now not in (None, row.file):  # a newer one took its place while we looked
                return self.read(run_id, name)
            raise StoreError.of(
                f"checkpoint {name}",
                "its file must be readable",
                str(error.strerror),
                "Use another checkpoint.",
            ) from None
        if hashlib.sha256(blob).hexdigest() != row.sha256:
            raise StoreError.of(
                f"checkpoint {name}",
                "its checksum must match",
                "the file is damaged",
                "Use another checkpoint.",
            )
        return blob

    def copy(self, run_id: str, name: str, to: str, as_name: str) -> None:
        """Keep a run's checkpoint for another run too, under another name. Raises RunError, StoreError."""
        while True:
            blob = self.read(run_id, name)
            info = next((info for info in self.list(run_id) if info.name == name), None)
            if info and info.bytes == len(blob) and self.read(run_id, name) == blob:
                break  # else the run saved a newer one meanwhile
        self.write(to, as_name, blob, step=info.step, epoch=info.epoch, metrics=info.metrics)

    def list(self, run_id: str) -> list[CheckpointInfo]:
        """Checkpoints of a run, newest first."""
        wanted = select(checkpoints).where(checkpoints.c.run_id == run_id).order_by(checkpoints.c.step.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        return [CheckpointInfo(r.name, r.step, r.epoch, r.time, r.bytes, json.loads(r.metrics)) for r in rows]
