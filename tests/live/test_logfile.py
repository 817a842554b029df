"""The log by bytes: what is read, found and numbered is what a plain reading of the whole file says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.live import logfile
from workbench.live.logfile import ERRORS, LogFile

LINES = st.lists(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12), max_size=60
)


def plainly(text: str, word: str) -> list[tuple[int, str]]:
    """(number, line) of the lines that hold the word, by Python's own means; ASCII is folded."""
    fold = lambda s: s.encode().lower()  # noqa: E731
    return [(i, line) for i, line in enumerate(text.split("\n"), 1) if fold(word) in fold(line)]


@given(lines=LINES, word=st.text("abAB é:", min_size=1, max_size=3), block=st.integers(4, 64))
def test_a_search_finds_what_a_plain_reading_finds(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], word: str, block: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.txt"
    text = "\n".join([*lines, "aB end", "Ab"])
    path.write_text(text, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfile, "BLOCK", max(block, 4 + max(len(line.encode()) for line in text.split("\n"))))
        found = LogFile(path).find(word)
    assert [(number, line) for number, _, line in found["lines"]] == plainly(text, word)[-logfile.MATCHES :]


def test_more_than_a_page_of_matches_is_asked_for_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"step {i}\n" for i in range(1, 451)))
    log = LogFile(path)
    seen: list[int] = []
    before = None
    while True:
        found = log.find("STEP", before)
        seen = [line[0] for line in found["lines"]] + seen
        before = found["lines"][0][1]
        if not found["more"]:
            break
    assert seen == list(range(1, 451))


def test_errors_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("fine\nValueError: x\nan ERROR\nall good\nTraceback (most recent call last):\nFatal\n")
    assert [line[0] for line in LogFile(path).find("")["lines"]] == [2, 3, 5, 6]
    assert all(word == word.lower() for word in ERRORS)


@given(at=st.integers(0, 400_000))
def test_a_page_holds_its_place_in_whole_lines_with_true_numbers(big: Path, at: int) -> None:
    text = big.read_text()
    page = LogFile(big).page(at)
    at = min(at, len(text))
    assert page["offset"] <= at <= page["end"]
    assert text[page["offset"] : page["end"]] == page["text"]
    assert page["line"] == text.count("\n", 0, page["offset"]) + 1
    assert page["offset"] == 0 or text[page["offset"] - 1] == "\n"
    assert page["end"] == len(text) or page["text"].endswith("\n")
    assert (page["more"], page["after"]) == (page["offset"] > 0, page["end"] < len(text))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.txt"
    path.write_text("".join(f"line {i} {'x' * (i % 90)}\n" for i in range(1, 6000)))
    return path


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "none.txt")
    assert (log.read()["text"], log.page(0)["text"], log.find("x")["lines"]) == ("", "", [])


def test_a_line_longer_than_a_block_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "BLOCK", 1000)
    path = tmp_path / "log.txt"
    path.write_text("first\n" + "y" * 5000 + "\n" + "z" * 999 + "\nlast\n")
    assert [line[0] for line in LogFile(path).find("first")["lines"]] == [1]
    assert [line[0] for line in LogFile(path).find("last")["lines"]] == [4]


@pytest.mark.slow
def test_a_hundred_megabytes_are_searched_and_paged_quickly(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    block = "".join(f"step {i:8d}  loss 0.123456  accuracy 0.9876\n" for i in range(25_000)).encode()
    with path.open("wb") as file:
        file.write(b"the only needle\n")
        for _ in range(100 * 2**20 // len(block)):
            file.write(block)
    log = LogFile(path)
    began = time.process_time()
    (found,) = log.find("needle")["lines"]
    assert found[0] == 1
    assert time.process_time() - began < 2.0
    began = time.process_time()
    log.page(path.stat().st_size // 2)
    log.read()
    assert time.process_time() - began < 0.5
