"""Drawing tokens: the bounds of temperature, top-k and top-p."""

from __future__ import annotations

import pytest
import torch

from workbench.engine.decode import draw

SCORES = torch.log(torch.tensor([[0.3, 0.05, 0.4, 0.2, 0.05]]))  # 0 is padding


def drawn(n: int = 4000, **how: float) -> torch.Tensor:
    """Shares of each token in n draws."""
    generator = torch.Generator().manual_seed(0)
    tokens = draw(SCORES.expand(n, -1), generator, **how)  # type: ignore[arg-type]
    return torch.bincount(tokens, minlength=5) / n


def test_tokens_are_drawn_as_likely_as_they_are_and_padding_never() -> None:
    found = drawn()
    assert found[0] == 0
    assert torch.allclose(found[1:], SCORES.exp()[0, 1:] / 0.7, atol=0.03)


def test_a_low_temperature_sharpens_and_zero_takes_the_likeliest() -> None:
    assert drawn(temperature=0.3)[2] > drawn()[2] + 0.2
    assert drawn(temperature=0)[2] == 1


@pytest.mark.parametrize(
    ("how", "left"),
    [({"top_k": 1}, {2}), ({"top_k": 2}, {2, 3}), ({"top_p": 0.5}, {2}), ({"top_p": 0.6}, {2, 3})],
)
def test_only_the_likeliest_are_drawn(how: dict[str, float], left: set[int]) -> None:
    assert set(drawn(**how).nonzero().flatten().tolist()) == left
