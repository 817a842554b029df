"""The hardest samples on their page: answers without another process, and what can be chosen."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from workbench.jobs.hardest import hardest
from workbench.store import Store
from workbench.worker.answering import Answers


def answered_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's questions are answered by the answering side in this process."""
    answers = Answers(store)

    def asked(*arguments: Any, **more: Any) -> dict[str, Any]:
        return hardest(*arguments, **more, asker=lambda s, v, p, t: answers.answer(v, p))

    monkeypatch.setattr("workbench.ui.hardest.hardest", asked)


def boxes(app: AppTest) -> list[Any]:
    return [box for box in app.checkbox if (box.key or "").startswith("hard.")]
