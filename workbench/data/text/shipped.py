"""Sets of texts that come with the program: packed beside the code, or made by it. See docs/texts.md."""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, new_folder
from workbench.data.report import Report
from workbench.data.splits import TRAIN
from workbench.data.text import dates
from workbench.data.text.opened import chunks, survey
from workbench.data.text.reading import cut
from workbench.data.text.stored import TextWriter
from workbench.specs.data import DataSchema

HERE = Path(__file__).parents[1] / "shipped"
PASSAGE = 2_000


class _Row(NamedTuple):
    text: str
    label: int = 0
    split: int = TRAIN
    target: str | None = None


def _shakespeare() -> Iterator[_Row]:
    for piece in cut(_chunks("tiny-shakespeare.txt"), PASSAGE):
        yield _Row(piece)


def _spam() -> Iterator[_Row]:
    for line in _lines("sms-spam.tsv"):
        label, text = line.split("\t", 1)
        yield _Row(text.strip(), int(label == "spam"))


def _sentiment() -> Iterator[_Row]:
    for site in ("amazon_cells", "imdb", "yelp"):
        for line in _lines(f"uci-sentiment-{site}.tsv"):
            text, score = line.rsplit("\t", 1)
            yield _Row(text.strip(), int(score))


def _tatoeba() -> Iterator[_Row]:
    for line in _lines("tatoeba-fra-eng-small.tsv"):
        english, french = line.split("\t")
        yield _Row(english, target=french)


def _dates() -> Iterator[_Row]:
    for written, iso, split in dates.pairs():
        yield _Row(written, split=split, target=iso)


_SETS: dict[str, tuple[DataSchema, tuple[str, ...], str, Callable[[], Iterator[_Row]]]] = {
    "tiny-shakespeare": (
        DataSchema(
            kind="text", task="language_model", shape=(), licence="public domain",
            source="Plays of William Shakespeare, as gathered by A. Karpathy for char-rnn (input.txt)",
        ),
        (), "passages of some 2,000 characters; together the whole text", _shakespeare,
    ),
    "sms-spam": (
        DataSchema(
            kind="text", task="classification", shape=(), licence="CC BY 4.0 (UCI)",
            source="SMS Spam Collection v.1, T. A. Almeida and J. M. Gómez Hidalgo, UCI",
            columns={"text": "column 2", "label": "column 1"},
        ),
        ("ham", "spam"), "5,574 messages", _spam,
    ),
    "uci-sentiment": (
        DataSchema(
            kind="text", task="classification", shape=(), licence="CC BY 4.0 (UCI)",
            source="Sentiment Labelled Sentences, D. Kotzias et al., KDD 2015, UCI: Amazon, IMDb and Yelp",
            columns={"text": "column 1", "label": "column 2"},
        ),
        ("negative", "positive"), "1,000 sentences each of Amazon, IMDb and Yelp; 0 is negative", _sentiment,
    ),
    "tatoeba-fra-eng-small": (
        DataSchema(
            kind="text", task="translation", shape=(), licence="CC BY 2.0 (France)",
            source="Tatoeba Project (tatoeba.org), by manythings.org/anki; 6,000 short pairs selected",
            columns={"text": "English", "target": "French"},
        ),
        (), "6,000 pairs, no English sentence twice", _tatoeba,
    ),
    "iso-dates": (
        DataSchema(
            kind="text", task="translation", shape=(), licence="made by this program",
            source="Written dates in 24 forms and their ISO dates, 1930 to 2029 (workbench.data.text.dates)",
            columns={"text": "written", "target": "ISO"},
        ),
        (), "20,000 pairs; no date twice, so those of validation and test are never seen in training", _dates,
    ),
}  # fmt: skip
SHIPPED = tuple(_SETS)


def prepare_texts(name: str, out: Path) -> Prepared:
    """Write a shipped set of texts as a prepared folder. name: one of SHIPPED."""
    schema, classes, words, rows = _SETS[name]
    report = Report()
    report.kept(name, words)
    with new_folder(out, name) as folder:
        writer = TextWriter(folder, Limits(), name, paired=schema.task == "translation")
        try:
            for row in rows():
                writer.append(row.text, row.label, row.split, row.target)
            return writer.finish(schema, report, classes)
        finally:
            writer.close()


def _chunks(name: str) -> Iterator[str]:
    stream = cast(BinaryIO, io.BytesIO(lzma.decompress((HERE / f"{name}.xz").read_bytes())))
    found = survey(stream)
    stream.seek(0)
    return chunks(stream, found)


def _lines(name: str) -> Iterator[str]:
    """Without the empty ones. Line feeds alone end a line: U+0085 occurs inside of sentences."""
    return (line for line in "".join(_chunks(name)).split("\n") if line)
