"""What a file of a source holds, by its first bytes and its name: a table, records of JSON, lines of text."""

from __future__ import annotations

import io
import json
import re
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from workbench.data.sources import Member
from workbench.data.text.opened import chunks, packed, survey, unpacked_head, why_no_text
from workbench.data.text.records import FASTTEXT, understood

Kind = Literal["parquet", "xlsx", "jsonl", "json", "table", "lines"]
PACKED = (".gz", ".bz2", ".xz")
_KINDS: dict[str, Kind] = {
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "table",
    ".tsv": "table", ".tab": "table",
}  # fmt: skip
_BESIDE = re.compile(
    r"_?about.*|read_?me.*|licen[cs]e.*|copying.*|notice.*|citation.*|changelog.*|change_?log.*|.*\.(md|rst|bib|py|sh|"
    r"ipynb|html?|cff|toml|ya?ml|ini|cfg|log|names|vocab|feat)|(sha\d+|md5)sums?.*|.*\.(md5|sha\d+|sha1)|"
    r"requirements.*\.txt|dataset_infos?\.json|.*urls?_.*\.txt|.*-?license",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(class(es)?|labels?|categor(y|ies))(_?names?)?(\.txt)?", re.IGNORECASE)


class Sniffed(NamedTuple):
    """A file that is text or a table of it. bare: its path without the suffix of a packer."""

    member: Member
    kind: Kind
    bare: str
    head: bytes  # packed or not, as it begins

    @property
    def name(self) -> str:
        """`train.en` of `data/train.en.gz`."""
        return self.bare.rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        """`.en` of it, in small letters."""
        return PurePosixPath(self.bare).suffix.lower()

    @property
    def is_table(self) -> bool:
        """Whether it has rows and columns."""
        return self.kind != "lines"


def sniff(member: Member, head: bytes) -> Sniffed | str:
    """What the file is; or why it cannot be read as text."""
    inner = unpacked_head(head)
    bare = member.path
    if packed(head):
        if not inner:
            return "it is damaged" if head else "it is empty"
        if bare.lower().endswith(PACKED):
            bare = bare.rsplit(".", 1)[0]
    name = PurePosixPath(bare)
    if inner.startswith(b"PAR1"):
        return Sniffed(member, "parquet", bare, head[:16])
    if inner.startswith(b"PK\x03\x04") and name.suffix.lower() in (".xlsx", ".xlsm"):
        return Sniffed(member, "xlsx", bare, head[:16])
    if reason := why_no_text(inner):
        return reason
    kind = _KINDS.get(name.suffix.lower())
    if kind == "parquet":
        return "it is no Parquet file, whatever its name says"
    if kind is None or kind == "json":
        kind = _by_content(text_of(inner), kind)
    return Sniffed(member, kind, bare, head[:16])


def text_of(head: bytes) -> str:
    """A few kilobytes as text, by the encoding that they look like; a torn last character is left out."""
    found = survey(io.BytesIO(head))
    if found.encoding == "cp1252" and not head[:-4].isascii():
        again = survey(io.BytesIO(head[: _whole(head)]))
        head, found = (head[: _whole(head)], again) if again.encoding == "utf-8" else (head, found)
    return "".join(chunks(io.BytesIO(head), found))


def is_beside(sniffed: Sniffed) -> bool:
    """Whether a file tells of the data rather than being it: a readme, a licence, a checksum."""
    return bool(_BESIDE.fullmatch(sniffed.name))


def is_names(sniffed: Sniffed) -> bool:
    """Whether a file lists names of classes, by what it is called."""
    return sniffed.kind == "lines" and bool(_NAMES.fullmatch(sniffed.name))


def _by_content(text: str, kind: Kind | None) -> Kind:
    start = text.lstrip()[:1]
    first = next((line for line in text.split("\n") if line.strip()), "")
    several = len([line for line in text.split("\n", 50) if line.strip()]) > 1
    if start == "{" and _is_object(first) and (several or kind is None):
        return "jsonl"
    if kind == "json" or (start == "[" and re.match(r"\s*\[\s*\{\s*\"", text)):
        return "json"
    lines = text.split("\n")[:-1] or [text]
    if first.startswith(FASTTEXT):
        return "table"
    if len(lines) > 1 or "\t" in first:
        found = understood(lines[:400], ("\t",))
        if found is not None and found.width > 1:
            return "table"
    return "lines"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _whole(head: bytes) -> int:
    """Where the last whole UTF-8 character ends."""
    for back in range(1, min(4, len(head)) + 1):
        if head[-back] & 0xC0 != 0x80:
            return len(head) - back
    return len(head)
