"""Batches of texts: every text once, none cut or mixed up, and the same whatever the memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.texts import labelled, reversals, stream
from workbench.engine import texts
from workbench.engine.batches import batch_sizes
from workbench.engine.texts import BOS, EOS, PAD, PairFeed, TextFeed, WindowFeed, bucketed, paired
from workbench.specs.errors import DataError

CPU = torch.device("cpu")


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 3))
def test_every_text_is_in_one_batch_of_an_epoch(n: int, size: int, epoch: int) -> None:
    lengths = np.random.default_rng(n).integers(1, 50, n)
    sizes = batch_sizes(n, size)
    found = bucketed(lengths, 7, epoch, sizes)
    assert [len(part) for part in found] == sizes
    assert sorted(np.concatenate(found)) == list(range(n))
    again = bucketed(lengths, 7, epoch, sizes)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_texts_of_like_length_come_together_and_orders_differ_between_epochs() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 640)
    sizes = batch_sizes(640, 16)
    one, other = (bucketed(lengths, 0, epoch, sizes) for epoch in (0, 1))
    spread = np.mean([np.ptp(lengths[rows]) for rows in one])
    by_chance = np.mean([np.ptp(lengths[rows]) for rows in np.split(np.arange(640), 40)])
    assert spread < by_chance / 5
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("share", [1.0, 0.0], ids=["on the device", "in the file"])
def test_a_batch_holds_its_texts_whole_and_is_as_wide_as_the_longest(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SHARE", share)
    data = labelled()
    feed = TextFeed(data.train, CPU)
    seen = []
    for rows in feed.shuffled(0, 0, batch_sizes(feed.n, 16)):
        x, y = feed.batch(rows)
        for row, line, label in zip(rows.rows.tolist(), x, y, strict=True):
            start, stop = data.train.ids.offsets[row : row + 2]
            assert line[: stop - start].tolist() == data.train.ids.values[start:stop].tolist()
            assert not line[stop - start :].any()
            assert int(label) == data.train.y[row]
            seen.append(row)
        assert x.shape[1] == max(2, int(x.ne(PAD).sum(1).max()))
    assert sorted(seen) == list(range(feed.n))


def test_scores_come_back_in_the_order_of_the_rows() -> None:
    data = labelled()
    feed = TextFeed(data.validation, CPU)
    sums = torch.cat([x.sum(1, keepdim=True) for x, _ in feed.in_order(7)])
    own = [data.validation.ids.values[a:b].sum() for a, b in zip(
        data.validation.ids.offsets[:-1], data.validation.ids.offsets[1:], strict=True)]  # fmt: skip
    assert feed.as_stored(sums).flatten().tolist() == own


def test_a_translator_is_given_the_target_one_place_late() -> None:
    x, y = paired(torch.tensor([[7, 8, 0], [9, 0, 0]]), torch.tensor([[5, 0], [6, 4]]))
    assert x[:, 0].tolist() == [[7, 8, EOS, 0], [9, EOS, 0, 0]]
    assert x[:, 1].tolist() == [[BOS, 5, 0, 0], [BOS, 6, 4, 0]]
    assert y.tolist() == [[5, EOS, 0, 0], [6, 4, EOS, 0]]
    feed = PairFeed(reversals().train, CPU)
    for x, y in feed.in_order(32):
        padding = y[:, 1:].eq(PAD)
        assert torch.equal(x[:, 1, 1:].masked_fill(padding, 0), y[:, :-1].masked_fill(padding, 0))


def test_windows_read_the_text_as_it_is_and_labels_are_the_next_tokens() -> None:
    data = stream(n=101, length=8)
    feed = WindowFeed(data.train, 8, CPU, "letters")
    assert feed.n == 12
    text = data.train.ids.values
    walked = torch.cat([y.flatten() for _, y in feed.in_order(5)])
    assert walked.tolist() == text[1:].tolist()  # every token once, the last short window too
    for rows in feed.shuffled(0, 3, batch_sizes(feed.n, 5)):
        x, y = feed.batch(rows)
        for start, line, after in zip(rows.rows.tolist(), x, y, strict=True):
            assert line.tolist() == text[start : start + 8].tolist()
            assert after.tolist() == text[start + 1 : start + 9].tolist()


def test_epochs_begin_their_windows_at_different_places() -> None:
    feed = WindowFeed(stream().train, 8, CPU, "letters")
    starts = [{s % 8 for s in feed.shuffled(0, e, [feed.n])[0].rows.tolist()} for e in range(6)]
    assert len(set(map(frozenset, starts))) > 2


def test_a_text_shorter_than_the_context_is_refused() -> None:
    with pytest.raises(DataError, match="longer than its context"):
        WindowFeed(stream(n=8, length=8).train, 8, CPU, "letters")
