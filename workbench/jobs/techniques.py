"""Techniques of training that do not go with a model or a device: told before the first step."""

from __future__ import annotations

from workbench.specs.errors import Problem
from workbench.specs.nesting import every
from workbench.specs.run import RunSpec

LSTMS = ("lstm", "lstm_decoder")


def technique_problems(spec: RunSpec, device: str) -> list[Problem]:
    """device: the kind that the run will take: cpu, cuda or mps."""
    return [*_smaller_problems(spec), *_precision_problems(spec, device)]


def _smaller_problems(spec: RunSpec) -> list[Problem]:
    """A teacher tells what it would answer; two networks that learn against each other are asked nothing."""
    if spec.task.kind != "generation" or spec.training.distill is None:
        return []
    return [
        Problem(
            where="training.distill",
            rule="a teacher's answers are compared with the student's, image by image",
            fact="a generator answers noise, and any good picture will do",
            repair="Leave training.distill empty, or prune a trained run instead.",
        )
    ]  # fmt: skip


def _precision_problems(spec: RunSpec, device: str) -> list[Problem]:
    """oneDNN of torch 2.13 takes an LSTM in fp16 and then has no kernel for it on most processors."""
    if spec.training.precision != "fp16" or device != "cpu":
        return []
    found = [layer for layer in every(spec.model.numbered) if getattr(layer, "kind", "") in LSTMS]
    if not found:
        return []
    return [
        Problem(
            where="training.precision", rule="on a CPU an LSTM computes in fp32 or bf16",
            fact="training.precision is fp16", repair="Set training.precision to bf16 or fp32.",
        )
    ]  # fmt: skip
