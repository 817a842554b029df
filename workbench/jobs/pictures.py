"""What can only be amiss in runs whose answer is an image."""

from __future__ import annotations

from workbench.specs.errors import Problem
from workbench.specs.picture_tasks import PICTURE_TASKS, GenerationTask, ReconstructionTask
from workbench.specs.run import RunSpec


def answer_problems(spec: RunSpec) -> list[Problem]:
    """Choices that do not go with the task. Nothing for other tasks."""
    if spec.task.kind not in PICTURE_TASKS:
        return []
    found = []
    if any(change.mixes for change in spec.data.augment):
        found.append(
            Problem(
                where="data.augment", rule="mixup and cutmix blend the labels of whole images",
                fact=f"the task is {spec.task.kind}", repair="Take them out of data.augment.",
            )
        )  # fmt: skip
    task = spec.task
    if isinstance(task, ReconstructionTask) and task.loss == "bce" and spec.data.normalize != "unit":
        found.append(
            Problem(
                where="data.normalize", rule="bce compares pixels from 0 to 1",
                fact=f"data.normalize is {spec.data.normalize}", repair="Set data.normalize to unit.",
            )
        )  # fmt: skip
    if isinstance(task, GenerationTask):
        found += _duel_problems(spec)
    return found


def _duel_problems(spec: RunSpec) -> list[Problem]:
    training, found = spec.training, []
    rule = "two networks that learn against each other take turns on whole batches"
    if training.accumulation_steps > 1:
        fact = f"training.accumulation_steps is {training.accumulation_steps}"
        repair = "Set training.accumulation_steps to 1."
        found.append(Problem(where="training.accumulation_steps", rule=rule, fact=fact, repair=repair))
    if training.precision == "fp16":
        found.append(
            Problem(
                where="training.precision", rule="each of two networks would need a scale of its own in fp16",
                fact="training.precision is fp16", repair="Set training.precision to bf16 or fp32.",
            )
        )  # fmt: skip
    if training.freeze:
        found.append(
            Problem(
                where="training.freeze", rule="layers are frozen in models of one stack",
                fact="this one has two", repair="Leave training.freeze empty.",
            )
        )  # fmt: skip
    return found
