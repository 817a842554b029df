"""Registered data sets: a row each, and a folder in the prepared format below the artifact root.

A set that is put again under its name is a new version; the former ones stay, with their folders, so that
a run finds what it was trained on. Of a set that was deleted or renamed, the numbers and fingerprints stay:
another set of that name begins behind them, so that no run takes it for its own, and the same one has its
number again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from workbench.specs.base import did_you_mean
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError
from workbench.store.schema import dataset_versions, datasets, lock

_GONE = ""  # the folder of a version that was deleted
_THERE = dataset_versions.c.folder != _GONE


@dataclass(frozen=True)
class DatasetRow:
    """A registered data set, or a former version of one; `path` is its folder in the prepared format."""

    name: str
    version: int
    path: Path
    schema: DataSchema
    splits: Mapping[str, int]  # images per split, as the source brought them
    report: Sequence[Mapping[str, Any]]
    fingerprint: str
    added: float

    @property
    def rows(self) -> int:
        return sum(self.splits.values())


class Datasets:
    """Put, get, versions, list, rename, delete."""

    def __init__(self, engine: Engine, artifacts: Path) -> None:
        self._engine = engine
        self._artifacts = artifacts

    def put(
        self,
        name: str,
        folder: Path,
        *,
        schema: DataSchema,
        rows: Mapping[str, int],
        report: Sequence[Mapping[str, Any]],
        fingerprint: str,
    ) -> DatasetRow:
        """Move `folder` into the store and register it; the same name again makes a new version."""
        place = f"datasets/{fingerprint[:16]}-{time.time_ns():x}"
        target = self._artifacts / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(os.fspath(folder), target)
        values = {
            "folder": place, "schema": schema.model_dump_json(),
            "splits": json.dumps(dict(rows)), "report": json.dumps([dict(row) for row in report]),
            "fingerprint": fingerprint, "added": time.time(),
        }  # fmt: skip
        with self._engine.begin() as connection:
            lock(connection)  # two who change a set at once make two versions, not one
            old = connection.execute(select(datasets).where(datasets.c.name == name)).first()
            if old is not None:
                connection.execute(insert(dataset_versions).values(**old._mapping))
                connection.execute(delete(datasets).where(datasets.c.name == name))
            version = _number(connection, name, fingerprint)
            connection.execute(insert(datasets).values(name=name, version=version, **values))
        return self.get(name)

    def get(self, name: str, version: int | None = None) -> DatasetRow:
        """The data set of that name, as it is now or was. Raises DataError with the nearest name."""
        with self._engine.connect() as connection:
            row = connection.execute(select(datasets).where(datasets.c.name == name)).first()
            if row is None:
                known = list(connection.execute(select(datasets.c.name)).scalars())
                raise DataError.of(
                    f"data set `{name}`", "the data set must be registered", "it is not",
                    did_you_mean(name, known) if known else "Add it with `workbench data add`.",
                )  # fmt: skip
            if version is None or version == row.version:
                return self._frozen(row)
            which = (dataset_versions.c.name == name, dataset_versions.c.version == version, _THERE)
            former = connection.execute(select(dataset_versions).where(*which)).first()
        if former is None:
            raise DataError.of(
                f"data set `{name}`", f"version {version} must be there", f"the newest is {row.version}",
                "It may have been added anew under the same name.",
            )  # fmt: skip
        return self._frozen(former)

    def versions(self, name: str) -> Sequence[DatasetRow]:
        """All versions of a set, the newest first. Raises DataError."""
        now = self.get(name)
        table = dataset_versions
        former = select(table).where(table.c.name == name, _THERE).order_by(table.c.version.desc())
        with self._engine.connect() as connection:
            return [now, *(self._frozen(row) for row in connection.execute(former))]

    def list(self) -> list[DatasetRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(datasets).order_by(datasets.c.name)).all()
        return [self._frozen(row) for row in rows]

    def rename(self, old: str, new: str) -> None:
        """Give a set another name; numbered there as if it had been put version by version."""
        self.get(old)
        with self._engine.begin() as connection:
            lock(connection)
            if connection.execute(select(datasets.c.name).where(datasets.c.name == new)).scalar():
                raise DataError.of(
                    "name", "a data set's name must be free", f"`{new}` is taken", "Choose another."
                )
            *former, last = _forget(connection, old)
            for row, table in [*((row, dataset_versions) for row in former), (last, datasets)]:
                number = _number(connection, new, row.fingerprint)
                connection.execute(insert(table).values({**row._mapping, "name": new, "version": number}))

    def delete(self, name: str) -> None:
        """Forget a set with all its versions but for their numbers, and remove their folders."""
        rows = self.versions(name)
        with self._engine.begin() as connection:
            lock(connection)
            _forget(connection, name)
        for row in rows:
            shutil.rmtree(row.path, ignore_errors=True)

    def _frozen(self, row: Row[Any]) -> DatasetRow:
        return DatasetRow(
            name=row.name,
            version=row.version,
            path=self._artifacts / row.folder,
            schema=DataSchema.model_validate_json(row.schema),
            splits=json.loads(row.splits),
            report=json.loads(row.report),
            fingerprint=row.fingerprint,
            added=row.added,
        )


def _forget(connection: Connection, name: str) -> list[Row[Any]]:
    """Leave nothing of a set but its numbers and fingerprints; the versions that it had, the newest last.

    Raises DataError where somebody else was faster.
    """
    last = connection.execute(select(datasets).where(datasets.c.name == name)).first()
    if last is None:
        raise DataError.of(f"data set `{name}`", "the data set must be registered", "it is gone by now")
    connection.execute(insert(dataset_versions).values(**last._mapping))
    connection.execute(delete(datasets).where(datasets.c.name == name))
    of_name = (dataset_versions.c.name == name, _THERE)
    rows = connection.execute(
        select(dataset_versions).where(*of_name).order_by(dataset_versions.c.version)
    ).all()
    connection.execute(update(dataset_versions).where(*of_name).values(folder=_GONE, report="[]"))
    return list(rows)


def _number(connection: Connection, name: str, fingerprint: str) -> int:
    """The version that a set is put as: behind all there were, or what it was before it went."""
    table = dataset_versions
    known = connection.execute(select(table).where(table.c.name == name)).all()
    newest = max((row.version for row in known if row.folder != _GONE), default=0)
    again = [
        row.version
        for row in known
        if row.folder == _GONE and row.fingerprint == fingerprint and row.version > newest
    ]
    if not again:
        return 1 + max((row.version for row in known), default=0)
    number = int(min(again))
    connection.execute(delete(table).where(table.c.name == name, table.c.version == number))
    return number
