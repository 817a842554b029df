"""What a form must know of each field of a Spec: its type, bounds, default, unit and help.

Read once per class from the field itself, for the Streamlit forms and for the layer editor alike.
Knows neither Streamlit nor a value.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workbench.specs.base import Spec

FieldType = Literal["int", "float", "bool", "choice", "text", "spec", "union", "other"]

# Words people know, where the field's name (PyTorch's own) is not one of them.
LABELS = {
    "lr": "Learning rate",
    "p": "Share dropped",
    "eps": "Epsilon",
    "beta1": "Beta 1",
    "beta2": "Beta 2",
    "alpha": "Alpha",
    "gamma": "Drop factor",
    "every": "Drop every",
    "rise": "Climbing share",
    "start": "Start fraction",
    "final": "Final fraction",
    "min_delta": "Smallest change",
    "clip_norm": "Clip gradients at",
    "stop_at_loss": "Stop at loss",
    "warmup": "Warm-up share",
    "limit": "Use at most",
    "size": "Image size",
    "validation": "Validation share",
    "test": "Test share",
    "name": "Name",
    "budget": "Watching budget (share of time)",
    "interval": "Shortest interval",
    "samples": "Samples shown",
    "probe_images": "Probe samples",
    "validate_every": "Validate every",
    "accumulation_steps": "Batch in parts",
    "ema": "Average of weights, decay",
    "tensorboard": "TensorBoard files",
    "mlflow": "MLflow address",
    "vocabulary": "Vocabulary at most",
    "min_frequency": "Seen at least",
    "lowercase": "Small letters only",
    "sample_tokens": "Written at a validation",
    "top_k": "Top k",
    "top_p": "Top p",
    "beam": "Beam search",
    "scored": "Translated at a validation",
    "l1": "L1 penalty",
    "what": "What is left out",
    "amount": "Share left out",
    "scope": "Compared over",
    "buckets": "Rare words share",
    "prune": "Prune the starting weights",
}
# The same for a field that means something else in some specs: by the class that has it first.
CLASS_LABELS = {
    ("Augmentation", "p"): "Share of images",
    ("TextSpec", "length"): "Longest text",
    ("TextSpec", "source"): "Tokenizer of the model",
}
OPTION_WORDS = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "one_cycle": "One cycle",
    "fp32": "32-bit",
    "bf16": "bfloat16",
    "fp16": "16-bit",
    "val/loss": "Validation loss",
    "val/accuracy": "Validation accuracy",
    "val/f1": "Validation F1",
    "val/auroc": "Validation AUROC",
    "val/bleu": "Validation BLEU",
    "val/exact_match": "Validation exact match",
    "bpe": "BPE",
    "wordpiece": "WordPiece",
    1: "Grey",
    3: "Colour",
}


@dataclass(frozen=True)
class Knob:
    """One field as a form sees it. `lo` and `hi` are the bounds; open ones exclude the bound itself."""

    name: str
    kind: FieldType
    optional: bool
    default: Any  # None where the field is optional and empty by default
    help: str
    unit: str
    advanced: bool
    lo: float | None = None
    hi: float | None = None
    lo_open: bool = False
    hi_open: bool = False
    options: tuple[Any, ...] = ()
    specs: tuple[type[Spec], ...] = ()  # the nested spec, or the members of a discriminated union
    word: str = ""  # its name where it is not the usual one

    @property
    def label(self) -> str:
        """`kernel_size` as `Kernel size`; units follow in brackets."""
        text = self.word or LABELS.get(self.name, self.name.replace("_", " ").capitalize())
        told = not self.unit or self.unit == self.name or text.lower().endswith(self.unit)
        return text if told else f"{text} ({self.unit})"  # "Probe images" needs no "(images)"

    @property
    def range_text(self) -> str:
        """`1 to 4,096`, `above 0`, or nothing where every value goes."""
        if self.kind not in ("int", "float") or (self.lo is None and self.hi is None):
            return ""
        lo = "" if self.lo is None else f"{self.lo:,.10g}"
        hi = "" if self.hi is None else f"{self.hi:,.10g}"
        if self.hi is None:
            return f"above {lo}" if self.lo_open else f"at least {lo}"
        if self.lo is None:
            return f"below {hi}" if self.hi_open else f"at most {hi}"
        if self.lo_open:
            return f"above {lo} and {'below' if self.hi_open else 'at most'} {hi}"
        return f"at least {lo} and below {hi}" if self.hi_open else f"{lo} to {hi}"


def option_word(option: Any) -> str:
    """An option as a person reads it: `one_cycle` → `One cycle`."""
    return OPTION_WORDS.get(option, str(option).replace("_", " ").capitalize())


@cache
def knobs(cls: type[Spec]) -> tuple[Knob, ...]:
    """The fields of `cls` in their order, without discriminators and version numbers."""
    return tuple(
        replace(_knob(name, field), word=_word(cls, name))
        for name, field in cls.model_fields.items()
        if not _is_constant(field.annotation)
    )


def _word(cls: type[Spec], name: str) -> str:
    return next((w for base in cls.__mro__ if (w := CLASS_LABELS.get((base.__name__, name)))), "")


def kind_of(cls: type[Spec]) -> str:
    """The discriminator value of a member of a union: `sgd`, `conv2d`."""
    return str(cls.model_fields["kind"].default)


def summary(cls: type[Spec]) -> str:
    """The first paragraph of the docstring: the help of a whole block."""
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def fault(cls: type[Spec], name: str, value: Any) -> str | None:
    """Why `value` cannot stand in the field, in words; None when it can."""
    try:
        _adapter(cls, name).validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        return message.removeprefix("Value error, ").removeprefix("Input ")
    return None


@cache
def _adapter(cls: type[Spec], name: str) -> TypeAdapter[Any]:
    field = cls.model_fields[name]
    annotated: Any = field.annotation
    for item in field.metadata:
        annotated = Annotated[annotated, item]
    return TypeAdapter(annotated)


def _is_constant(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _knob(name: str, field: FieldInfo) -> Knob:
    inner, optional = _without_none(field.annotation)
    metadata = list(field.metadata)
    while get_origin(inner) is Annotated:
        inner, *more = get_args(inner)
        metadata += more
    kind, options, specs = _type_of(inner)
    bounds: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, Ge | Gt):
            bounds["lo"] = item.ge if isinstance(item, Ge) else item.gt
            bounds["lo_open"] = isinstance(item, Gt)
        elif isinstance(item, Le | Lt):
            bounds["hi"] = item.le if isinstance(item, Le) else item.lt
            bounds["hi_open"] = isinstance(item, Lt)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = field.get_default(call_default_factory=True)
    return Knob(
        name=name,
        kind=kind,
        optional=optional,
        default=None if default is PydanticUndefined else default,
        help=field.description or "",
        unit=str(extra.get("unit", "")),
        advanced=bool(extra.get("advanced", False)),
        options=options,
        specs=specs,
        **bounds,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [a for a in get_args(annotation) if a is not type(None)]
        if len(members) < len(get_args(annotation)):
            return (members[0] if len(members) == 1 else Union[tuple(members)]), True  # noqa: UP007
    return annotation, False


def _type_of(inner: Any) -> tuple[FieldType, tuple[Any, ...], tuple[type[Spec], ...]]:
    if get_origin(inner) is Literal:
        return "choice", get_args(inner), ()
    if get_origin(inner) in (Union, types.UnionType):
        members = get_args(inner)
        if all(isinstance(m, type) and issubclass(m, Spec) for m in members):
            return "union", (), members
        return "other", (), ()
    simple: dict[Any, FieldType] = {bool: "bool", int: "int", float: "float", str: "text"}
    if inner in simple:
        return simple[inner], (), ()
    if isinstance(inner, type) and issubclass(inner, Spec):
        return "spec", (), (inner,)
    return "other", (), ()


def spec_types(cls: type[Spec]) -> typing.Iterator[type[Spec]]:
    """`cls` and every Spec reachable from it through its fields."""
    yield cls
    for knob in knobs(cls):
        for member in knob.specs:
            yield from spec_types(member)
