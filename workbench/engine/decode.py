"""Texts from a model, token by token: continued by drawing, translated by following the likeliest.

Works on models as `models.sequence` builds them: `new_cache()`, and `encode` and `decode` of a translator.
Notation: B texts, k beams, K entries of the vocabulary; ids as in `engine.texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.engine.texts import BOS, EOS, PAD

PENALTY = 0.6  # exponent of the length by which a translation's likelihood is divided


def draw(
    scores: Tensor, generator: torch.Generator, temperature: float = 1.0,
    top_k: int | None = None, top_p: float | None = None,
) -> Tensor:  # fmt: skip
    """One token per row: scores (B, K) -> (B,) int64. Padding is never drawn.

    temperature 0 takes the likeliest. top_k: only of so many likeliest; top_p: only of the fewest likeliest
    that together have this probability (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751).
    Check: with top_k 1 it is the likeliest at any temperature.
    """
    scores = scores.float().clone()
    scores[:, PAD] = -torch.inf
    if temperature == 0:
        return scores.argmax(dim=1)
    scores /= temperature
    if top_k is not None and top_k < scores.shape[1]:
        lowest = scores.topk(top_k, dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < lowest, -torch.inf)
    shares = scores.softmax(dim=1)
    if top_p is not None and top_p < 1:
        ranked, order = shares.sort(dim=1, descending=True)
        beyond = ranked.cumsum(dim=1) - ranked >= top_p  # the one that passes top_p still counts
        shares = shares.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), 0.0)
    return torch.multinomial(shares, 1, generator=generator).squeeze(1)


def continued(
    model: Any, prompt: Sequence[int], tokens: int, context: int, choose: Callable[[Tensor], Tensor]
) -> Iterator[int]:
    """`tokens` further tokens of a language model, one by one. prompt: ids, at least one of them.

    choose: scores (1, K) of the next token -> its id (1,). context: tokens the model can see; where the text
    grows beyond, the model reads its latter half anew. The model must be in eval mode.
    """
    device = next(model.parameters()).device
    text = list(prompt)
    cache, fresh = model.new_cache(), text[-context:]
    for _ in range(tokens):
        if cache.length + len(fresh) > context:
            cache, fresh = model.new_cache(), text[-max(1, context // 2) :]
        with torch.inference_mode():
            scores = model(torch.tensor([fresh], device=device), cache=cache)[:, -1]
            token = int(choose(scores.cpu()))
        text.append(token)
        fresh = [token]
        yield token


def translated(model: Any, source: Tensor, most: int, beam: int = 1) -> list[list[int]]:
    """The likeliest text for each source that `beam` beams find. source (B, L) int64 with EOS, padded.

    most: tokens of a translation at most. Of the texts found, the one with the highest log-probability over
    ((5 + n) / 6) ** 0.6 for n tokens wins (Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7).
    Check: one beam is the greedy choice at every step. The model must be in eval mode.
    """
    with torch.inference_mode():
        return _translated(model, source, most, beam)


def _translated(model: Any, source: Tensor, most: int, k: int) -> list[list[int]]:
    n, device = len(source), source.device
    memory, mask = model.encode(source)
    memory = memory.repeat_interleave(k, dim=0)
    mask = mask.repeat_interleave(k, dim=0) if mask is not None else None
    cache = model.new_cache()
    totals = torch.full((n, k), -torch.inf, device=device)
    totals[:, 0] = 0.0  # all beams begin alike: only one of them counts
    ended = torch.zeros(n, k, dtype=torch.bool, device=device)
    lengths = torch.zeros(n, k, device=device)
    texts = torch.empty(n, k, 0, dtype=torch.int64, device=device)
    last = torch.full((n * k, 1), BOS, device=device)
    first_row = torch.arange(n, device=device).unsqueeze(1) * k
    for _ in range(most):
        logs = model.decode(last, memory, mask, cache)[:, -1].float().log_softmax(dim=-1).view(n, k, -1)
        logs[..., [PAD, BOS]] = -torch.inf
        stay = torch.full_like(logs[0, 0], -torch.inf)
        stay[EOS] = 0.0
        logs = torch.where(ended.unsqueeze(2), stay, logs)
        totals, flat = (totals.unsqueeze(2) + logs).flatten(1).topk(k, dim=1)
        beams, tokens = flat // logs.shape[2], flat % logs.shape[2]
        texts = torch.cat(
            [texts.gather(1, beams.unsqueeze(2).expand(-1, -1, texts.shape[2])), tokens.unsqueeze(2)], dim=2
        )
        lengths = lengths.gather(1, beams) + ~ended.gather(1, beams)
        ended = ended.gather(1, beams) | (tokens == EOS)
        if bool(ended.all()):
            break
        if k > 1:
            cache.reorder((first_row + beams).flatten())
        last = tokens.reshape(n * k, 1)
    best = (totals / ((5 + lengths) / 6) ** PENALTY).argmax(dim=1)
    found = texts[torch.arange(n, device=device), best].tolist()
    return [text[: text.index(EOS)] if EOS in text else text for text in found]
