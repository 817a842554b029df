"""Presets of one's own: specs kept as YAML files in the home, found by name.

A name is a text of letters, digits, spaces, `.`, `_` and `-`; it never holds a separator, so the file it
stands for is always one of this folder. Files that a person put there by hand are taken as well.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from workbench.specs.base import did_you_mean
from workbench.specs.errors import Problem, SpecError
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec, parse
from workbench.store.files import write_whole

LONGEST = 50  # letters of a name: at four bytes each and with its suffix it is a name on any file system
MOST_BYTES = 4_000_000  # of a file; the largest spec there can be is a quarter of that
SUFFIX = ".yaml"
_NAME = re.compile(r"\w(?:[\w .-]*[\w-])?")


@dataclass(frozen=True)
class Kept:
    """A preset of one's own; `spec` is None where its file is damaged, and `problem` says how."""

    name: str
    spec: RunSpec | None
    problem: Problem | None = None


class Presets:
    """List, get, put and delete. The folder is made with the first preset."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self) -> tuple[Kept, ...]:
        """All of them by name. A damaged file is in the list too, with what is wrong with it."""
        return tuple(self._kept(name) for name in self.names())

    def names(self) -> tuple[str, ...]:
        """What there is to `get` or to `delete`; files whose names are none of ours are left alone."""
        try:
            found = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(SUFFIX)]
        except OSError:  # no folder, no presets
            return ()
        stems = (name.removesuffix(SUFFIX) for name in found)
        return tuple(sorted((s for s in stems if s == _cleaned(s) and s not in PRESETS), key=str.lower))

    def get(self, name: str) -> RunSpec:
        """The spec of that name. Raises SpecError for an unknown name and for a damaged file."""
        name = clean_name(name)
        if name not in self.names():
            raise SpecError.of(
                f"preset `{name}`", "the preset must be a known one", "there is none of that name",
                did_you_mean(name, [*self.names(), *PRESETS]),
            )  # fmt: skip
        return self._read(name)

    def put(self, name: str, spec: RunSpec, *, replace: bool = False) -> str:
        """Keep `spec` under `name`, whole or not at all; the name as it is kept.

        Raises SpecError for what cannot be a name, for a built-in preset's, and for one that is taken
        unless `replace`; StoreError where the disk refuses.
        """
        name = clean_name(name)
        if name in PRESETS:
            raise SpecError.of(
                "name", "presets of your own have names of their own",
                f"`{name}` comes with the workbench", f"Try `my-{name}`.",
            )  # fmt: skip
        if not replace and name in self.names():
            raise SpecError.of(
                "name", "a new preset takes a free name", f"`{name}` is taken",
                "Replace it, or choose another name.",
            )  # fmt: skip
        write_whole(self._path(name), spec.model_copy(update={"name": name}).to_yaml().encode())
        return name

    def delete(self, name: str) -> None:
        """Remove it, damaged or not. Raises SpecError where there is none of that name."""
        name = clean_name(name)
        try:
            self._path(name).unlink()
        except OSError as error:
            raise SpecError.of(
                f"preset `{name}`", "the preset must be one of your own", error.strerror or "it is not"
            ) from None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _kept(self, name: str) -> Kept:
        try:
            return Kept(name, self._read(name))
        except SpecError as error:
            return Kept(name, None, error.problems[0])

    def _read(self, name: str) -> RunSpec:
        where = f"preset `{name}`"
        try:
            # A link or a pipe under the name is not followed: reading it might never end.
            handle = os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError("it is no file")
                blob = file.read(MOST_BYTES + 1)
            if len(blob) > MOST_BYTES:
                raise OSError(f"it has more than {MOST_BYTES:,} bytes")
            return parse(blob.decode("utf-8"), where)
        except (OSError, UnicodeDecodeError) as error:
            fact = "it is not text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
            raise SpecError.of(
                where, "its file must be readable", fact, "Delete it, or mend the file."
            ) from None


def clean_name(text: str) -> str:
    """A name as it is kept: one form of each letter, single spaces. Raises SpecError."""
    name = _cleaned(text)
    if name is None:
        raise SpecError.of(
            "name",
            f"a preset's name has 1 to {LONGEST} letters, digits, spaces, `.`, `_` or `-`, begins with a "
            "letter or digit and ends with no dot",
            f"it is {text[: LONGEST + 20]!r}",
            f"Try `{_proposal(text)}`.",
        )
    return name


def _cleaned(text: str) -> str | None:
    name = re.sub(r" +", " ", unicodedata.normalize("NFC", text)).strip(" ")
    fits = len(name) <= LONGEST and _NAME.fullmatch(name) and name[0] != "_"
    return name if fits else None


def _proposal(text: str) -> str:
    one_form = unicodedata.normalize("NFC", text[:200])  # which makes two characters of some letters
    return re.sub(r"[^\w-]+", "-", one_form).strip("-_")[:LONGEST] or "my-network"
