"""Hard and odd texts: wrong labels that were planted are found; models that tell tokens say so."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from tests.jobs.sets import WORDS, add_all, spec_of
from tests.worker.taught import taught
from workbench import catalog
from workbench.cli.main import app
from workbench.jobs.hardest import hardest
from workbench.specs.errors import RunError
from workbench.store import Store, open_store
from workbench.worker.answering import Answers

N, PLANTED = 300, 24


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Texts that are good where they hold `sun` and bad where they hold `moon`, but 24 have the other label;
    a run on them, one of a language model and one of a translator."""
    folder = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(folder / "home"))
        store = open_store()
        rng, lines = random.Random(1), ["text,label"]
        wrong = set(rng.sample(range(N), PLANTED))
        for i in range(N):
            words = [rng.choice(WORDS) for _ in range(rng.randint(3, 12))]
            words.insert(rng.randint(0, len(words)), "sun" if i % 2 else "moon")
            lines.append(f"{' '.join(words)},{'good' if (i % 2) != (i in wrong) else 'bad'}")
        (folder / "planted.csv").write_text("\n".join(lines), encoding="utf-8")
        catalog.add(store, folder / "planted.csv", "planted")
        add_all(store, folder, 60)
        changes = (
            "data.name=planted",
            "data.validation=0.4",
            "training.epochs=12",
            "training.optimizer.lr=0.01",
        )
        runs = {
            "notes": taught(store, spec_of(store, "notes", *changes, "data.text.length=16")),
            "book": taught(store, spec_of(store, "book", "training.steps=1")),
            "pairs": taught(store, spec_of(store, "pairs", "training.steps=1")),
        }
        yield {"store": store, "runs": runs, "wrong": wrong}


def found_by(house: dict[str, Any], name: str = "notes", split: str = "validation") -> dict[str, Any]:
    answers = Answers(house["store"])

    def ask(store: Store, verb: str, payload: Any, timeout_s: float) -> Any:
        return json.loads(json.dumps(answers.answer(verb, payload)))  # as over the socket

    return hardest(house["store"], house["runs"][name], split, asker=ask)


def test_planted_wrong_labels_of_texts_are_doubted_and_hard(house: dict[str, Any]) -> None:
    found = found_by(house)
    judged = {line["row"] for line in found["hardest"]}
    assert found["kind"] == "text"
    assert found["judged"] == found["of"] == len(judged) == 108
    wrong = house["wrong"] & judged
    assert len(wrong) >= 5, "some lie in this split"
    first = {line["row"] for line in found["hardest"][: len(wrong)]}
    assert len(first & wrong) >= 0.7 * len(wrong)
    doubted = {line["row"] for line in found["mislabelled"]}
    assert len(doubted & wrong) >= 0.7 * len(wrong)
    assert all(line["prediction"] != line["label"] for line in found["mislabelled"])


def test_each_line_shows_its_text_and_torch_s_own_loss(house: dict[str, Any]) -> None:
    found = found_by(house)
    trained = Answers(house["store"]).shelf.get(house["runs"]["notes"])
    part = trained.data.validation
    place = {int(row): i for i, row in enumerate(part.index)}
    for line in found["hardest"][:5] + found["oddest"][:5]:
        i = place[line["row"]]
        assert line["text"] == part.text(i)
        ids = torch.tensor([trained.data.tokenizer.encode(line["text"])[:16]])
        with torch.inference_mode():
            loss = F.cross_entropy(trained.model(ids), torch.from_numpy(part.y[i : i + 1]))
        assert line["loss"] == pytest.approx(float(loss), abs=1e-4)
        assert 0 <= line["oddness"] <= 2


@pytest.mark.parametrize("name", ["book", "pairs"])
@pytest.mark.parametrize("split", ["validation", "train"])
def test_a_model_that_tells_tokens_says_so(house: dict[str, Any], name: str, split: str) -> None:
    with pytest.raises(RunError, match="which tells tokens") as failure:
        found_by(house, name, split)
    assert failure.value.problems[0].repair


def test_the_command_line_shows_texts(house: dict[str, Any]) -> None:
    shown = CliRunner().invoke(app, ["hardest", house["runs"]["notes"], "--limit", "3"])
    assert shown.exit_code == 0, shown.output
    assert "108 texts of planted version 1, validation" in shown.output
    refused = CliRunner().invoke(app, ["hardest", house["runs"]["book"]])
    assert refused.exit_code != 0
    assert "Traceback" not in refused.output
