"""What people write on runs to find them again: tags, a note, and whether they are put away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, delete, func, select, update

from workbench.specs.errors import RunError
from workbench.store.schema import run_tags, runs

MAX_TAG = 40  # characters
MAX_TAGS = 30  # of one run
MAX_NOTE = 20_000  # characters
AT_ONCE = 500  # ids in one statement


class Labels:
    """Changes for one run or many, each in one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tag(self, run_ids: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove tags. Raises RunError for what cannot be a tag, and for too many."""
        new, old = [clean_tag(tag) for tag in add], {clean_tag(tag) for tag in remove}
        with self._engine.begin() as connection:
            for run_id in run_ids:
                text = connection.execute(select(runs.c.tags).where(runs.c.id == run_id)).scalar()
                if text is None:
                    continue
                kept = [tag for tag in dict.fromkeys([*json.loads(text), *new]) if tag not in old]
                if len(kept) > MAX_TAGS:
                    raise RunError.of("tags", f"a run has up to {MAX_TAGS} tags", f"these are {len(kept)}")
                connection.execute(delete(run_tags).where(run_tags.c.run_id == run_id))
                if kept:
                    connection.execute(run_tags.insert(), [{"run_id": run_id, "tag": tag} for tag in kept])
                _write(connection, [run_id], tags=json.dumps(kept, ensure_ascii=False))
            refresh(connection, run_ids)

    def note(self, run_id: str, text: str) -> None:
        """Replace a run's note; empty removes it. Raises RunError when it is too long."""
        if len(text) > MAX_NOTE:
            raise RunError.of(
                "note", f"a note has up to {MAX_NOTE:,} characters", f"this one has {len(text):,}"
            )
        with self._engine.begin() as connection:
            _write(connection, [run_id], note=text.strip())
            refresh(connection, [run_id])

    def archive(self, run_ids: Sequence[str], archived: bool = True) -> None:
        """Put runs away, or back: lists leave them out, nothing of them is lost."""
        with self._engine.begin() as connection:
            for start in range(0, len(run_ids), AT_ONCE):
                _write(connection, run_ids[start : start + AT_ONCE], archived=archived)

    def tags(self) -> list[tuple[str, int]]:
        """Every tag there is and on how many runs, the commonest first."""
        n = func.count()
        counted = select(run_tags.c.tag, n).group_by(run_tags.c.tag).order_by(n.desc(), run_tags.c.tag)
        with self._engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(counted)]


def clean_tag(text: str) -> str:
    """A tag as it is kept: one line, single spaces. Raises RunError."""
    tag = re.sub(r"\s+", " ", text).strip()
    if not tag or len(tag) > MAX_TAG or "," in tag or tag[0] in "+-" or not tag.isprintable():
        raise RunError.of(
            "tag", f"a tag has 1 to {MAX_TAG} characters, no comma, and begins with neither + nor -",
            f"this one is {text[: MAX_TAG + 20]!r}",
        )  # fmt: skip
    return tag


def haystack(run_id: str, name: str, data: str, tags: Iterable[str] = (), note: str = "") -> str:
    """What a search looks through, in lower case."""
    return "\n".join([name, run_id, data, *tags, note]).lower()


def refresh(connection: Connection, run_ids: Sequence[str]) -> None:
    """Make the haystack of these runs anew from what they are called now."""
    for run_id in run_ids:
        wanted = select(runs.c.name, runs.c.data, runs.c.tags, runs.c.note).where(runs.c.id == run_id)
        row = connection.execute(wanted).first()
        if row is not None:
            text = haystack(run_id, row.name, row.data, json.loads(row.tags), row.note)
            connection.execute(update(runs).where(runs.c.id == run_id).values(haystack=text))


def _write(connection: Connection, run_ids: Sequence[str], **values: object) -> None:
    connection.execute(
        update(runs).where(runs.c.id.in_(run_ids)).values(**values, revision=runs.c.revision + 1)
    )
