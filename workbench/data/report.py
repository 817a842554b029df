"""What happened to the files of an import: kept, repaired or refused, with the reason.

The report stays short whatever is thrown at it: only so many rows per action name a file, and the
rest is counted per reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

Action = Literal["kept", "repaired", "refused"]
ACTIONS: tuple[Action, ...] = ("kept", "repaired", "refused")
_REASONS = 50  # distinct reasons counted once the named rows are used up


class Report:
    """Collects rows {"file", "action", "reason"}."""

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._named: dict[Action, list[tuple[str, str]]] = {action: [] for action in ACTIONS}
        self._more: dict[Action, Counter[str]] = {action: Counter() for action in ACTIONS}
        self.n_refused = 0

    def kept(self, file: str, reason: str) -> None:
        """A summary: a class folder, an idx file, a choice made for the whole set."""
        self._add("kept", file, reason)

    def repaired(self, file: str, reason: str) -> None:
        """Something was changed so that the file could be used."""
        self._add("repaired", file, reason)

    def refused(self, file: str, reason: str) -> None:
        """The file is not in the set."""
        self.n_refused += 1
        self._add("refused", file, reason)

    def add_all(self, other: Report) -> None:
        """Take over the rows of another report."""
        self.n_refused += other.n_refused
        for action in ACTIONS:
            for file, reason in other._named[action]:
                self._add(action, file, reason)
            self._more[action].update(other._more[action])

    def rows(self) -> list[dict[str, str]]:
        """All rows, kept first; files beyond the limit as `37 more files`, one row per reason."""
        out = []
        for action in ACTIONS:
            out += [{"file": f, "action": action, "reason": r} for f, r in self._named[action]]
            for reason, n in self._more[action].most_common():
                file = "1 more file" if n == 1 else f"{n} more files"
                out.append({"file": file, "action": action, "reason": reason})
        return out

    def mended(self) -> list[str]:
        """What was repaired or refused, a line each."""
        return [f"{row['file']}: {row['reason']}" for row in self.rows() if row["action"] != "kept"]

    def first_refused(self, n: int) -> list[tuple[str, str]]:
        """The first `n` refused files with their reasons, for an error message."""
        return self._named["refused"][:n]

    def _add(self, action: Action, file: str, reason: str) -> None:
        # A class folder's summary is always named: there are at most `Limits.classes` of them.
        if action == "kept" or len(self._named[action]) < self._limit:
            self._named[action].append((file, reason))
            return
        more = self._more[action]
        more[reason if reason in more or len(more) < _REASONS else "other reasons"] += 1


def shown(name: str, longest: int = 160) -> str:
    """A file's name fit for a page: no control characters, no lone surrogates, no endless length."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 2 :]}"


def class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes fit for a page, none of them blank, no two alike: what reads the same is numbered."""
    found: dict[str, None] = {}
    for name in names:
        plain = " ".join(shown(name).split()) or "(blank)"
        n, free = 1, plain
        while free in found:
            n += 1
            free = f"{plain} ({n})"
        found[free] = None
    return tuple(found)
