"""Marks against scikit-learn's and sacrebleu's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from workbench.specs.tasks import ClassificationTask, LanguageModelTask, TranslationTask
from workbench.tasks.choose import task_for
from workbench.tasks.metrics import text_marks


@pytest.mark.parametrize("k", [2, 3, 8])
@pytest.mark.parametrize("ties", [False, True])
def test_marks_of_classifiers_equal_scikit_learns(k: int, ties: bool) -> None:
    rng = np.random.default_rng(k)
    y = rng.integers(0, k, 300)
    scores = rng.normal(size=(300, k)) + 1.2 * np.eye(k)[y]
    if ties:
        scores = np.round(scores)
    scores_t, y_t = torch.tensor(scores, dtype=torch.float32), torch.tensor(y)
    task = task_for(ClassificationTask(), k)
    found = task.marks(0.0, scores_t, y_t)
    told = scores_t.argmax(1).numpy()
    p = task.predict(scores_t).numpy()
    for name, truth in zip(("precision", "recall", "f1"), sk.precision_recall_fscore_support(
        y, told, average="macro", zero_division=0), strict=False):  # fmt: skip
        assert found[name] == pytest.approx(truth)
    if k == 2:
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, p[:, 1]))
        assert found["pr_auc"] == pytest.approx(sk.average_precision_score(y, p[:, 1]))
    else:
        one_hot = np.eye(k)[y]
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(one_hot, p, average="macro"))
        assert found["pr_auc"] == pytest.approx(sk.average_precision_score(one_hot, p, average="macro"))
    assert ("top5" in found) == (k > 5)
    if k > 5 and not ties:
        assert found["top5"] == pytest.approx(sk.top_k_accuracy_score(y, p, k=5))
    report = task.report(scores_t, y_t, [str(c) for c in range(k)])
    each = sk.precision_recall_fscore_support(y, told, labels=range(k), zero_division=0)
    for c, row in enumerate(report["per_class"]):
        assert [row[n] for n in ("precision", "recall", "f1", "support")] == pytest.approx(
            [part[c] for part in each]
        )


def test_a_class_that_is_never_seen_spoils_nothing() -> None:
    task = task_for(ClassificationTask(), 3)
    found = task.marks(0.0, torch.tensor([[2.0, 1, 0], [0, 3, 1]]), torch.tensor([0, 1]))
    assert all(math.isfinite(value) for value in found.values())
    assert found["f1"] == 1.0
    assert task.marks(0.0, torch.empty(0, 3), torch.empty(0, dtype=torch.int64)) == {}


def test_written_texts_are_marked_as_sacrebleu_does() -> None:
    import sacrebleu

    written = ["the cat sat on the mat", "a dog runs in the park today", "hello world"]
    meant = ["the cat sat on a mat", "a dog runs in the park now", "hello world"]
    found = text_marks(written, meant)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(written, [meant]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(written, [meant]).score)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert text_marks([], []) == {}


def test_perplexity_and_bits_per_character_follow_from_the_loss() -> None:
    found = task_for(LanguageModelTask(), 65, characters=2.0).marks(math.log(8), None, None)
    assert found["perplexity"] == pytest.approx(8)
    assert found["bits_per_character"] == pytest.approx(1.5)


def test_padding_counts_nowhere() -> None:
    task = task_for(TranslationTask(), 7)
    scores, y = torch.randn(2, 5, 7), torch.tensor([[3, 2, 0, 0, 0], [1, 4, 5, 2, 0]])
    longer = torch.cat([scores, torch.randn(2, 3, 7)], dim=1)
    padded = torch.nn.functional.pad(y, (0, 3))
    assert task.loss(scores, y) == pytest.approx(float(task.loss(longer, padded)))
    assert task.hits(scores, y) == task.hits(longer, padded)
    assert task.mass(y) == task.mass(padded) == task.count(padded) == 6
