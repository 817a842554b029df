"""Specs as Streamlit forms: Spec → widgets → Spec, drawn from the fields alone.

Bounds, unit, help and the fold of seldom-used settings come from the field (`ui.fields`). A value
that breaks a rule is told at its field, and the last good spec is returned beside the problem.
Widgets are keyed by the path of the field; change the form's `key` to make it start afresh.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import streamlit as st
from pydantic import ValidationError

from workbench.specs.base import Spec, problems_of
from workbench.specs.errors import Problem
from workbench.ui.fields import Knob, fault, kind_of, knobs, option_word, summary
from workbench.ui.marks import plain

S = TypeVar("S", bound=Spec)
NOTHING: Mapping[str, Any] = {}
COLUMN_PX = 190  # narrowest a field may get before the row wraps


def fill(
    spec: S,
    *,
    key: str,
    skip: Collection[str] = (),
    order: Sequence[str] = (),
    advanced: bool = True,
    folded: bool = True,
    where: str = "",
    more: str = "More settings",
    only: Mapping[str, Sequence[Any]] = NOTHING,
    called: Mapping[str, str] = NOTHING,
) -> tuple[S, list[Problem]]:
    """Draw the form of `spec`; return what the widgets say now, and what is wrong with it.

    skip: fields left as they are; only: the options that a choice offers ({"early_stopping.metric": [...]}),
    where not all make sense; the one in force is always among them; order: fields drawn first, before any
    fold; advanced: offer the seldom-used settings; folded: behind a fold, else among the others;
    where: the spec's place in the run (`training`), for the problems; more: the fold's title; called: what
    fields are called that mean something else here.
    Check: without a touch, the spec returned equals the spec given.
    """
    cls = type(spec)
    shown = [k for k in knobs(cls) if k.name not in skip and k.kind != "other"]
    shown = [_narrowed(k, only.get(k.name), getattr(spec, k.name)) for k in shown]
    shown = [replace(k, word=called.get(k.name, k.word)) for k in shown]
    shown.sort(key=lambda k: order.index(k.name) if k.name in order else len(order))
    simple = [k for k in shown if k.kind not in ("spec", "union")]
    blocks = [k for k in shown if k.kind in ("spec", "union")]
    rare = [k for k in simple if folded and k.advanced and k.name not in order]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    _grid(spec, [k for k in simple if k not in rare], values, problems, key, where)
    for knob in blocks:
        _block(spec, knob, values, problems, key, where, _below(only, knob.name))
    if rare and advanced:
        changed = [k.label for k in rare if getattr(spec, k.name) != k.default]
        title = more + (f" · changed: {', '.join(changed)}" if changed else "")
        with st.expander(title, key=f"{key}.more"):
            _grid(spec, rare, values, problems, key, where)
    return _rebuilt(spec, values, problems, where)


def _grid(
    spec: Spec, part: list[Knob], values: dict[str, Any], problems: list[Problem], key: str, where: str
) -> None:
    """Inputs first, switches in rows of their own: beside each other they stand at different heights."""
    switches = [knob for knob in part if _is_switch(knob)]
    inputs = [knob for knob in part if not _is_switch(knob)]
    for some in (inputs, switches):
        _cells(spec, some, values, problems, key, where)


def _is_switch(knob: Knob) -> bool:
    return knob.kind == "bool" or (knob.optional and knob.default is None)


def _cells(
    spec: Spec, part: list[Knob], values: dict[str, Any], problems: list[Problem], key: str, where: str
) -> None:
    if not part:
        return
    with st.grid(
        min_column_width=COLUMN_PX, gap="small", vertical_alignment="top", key=f"{key}.{part[0].name}.grid"
    ) as grid:
        for knob in part:
            with grid.cell():
                value = _field(knob, getattr(spec, knob.name), f"{key}.{knob.name}")
                message = fault(type(spec), knob.name, value)
                if message is None:
                    values[knob.name] = value
                    continue
                rule = f"must be {knob.range_text}" if knob.range_text else message
                fact = (
                    "it is empty"
                    if value in (None, "")
                    else f"it is {value:g}"
                    if isinstance(value, float)
                    else f"it is {value}"
                )
                st.error(f"{plain(knob.label)} {plain(rule, 200)}, but {plain(fact)}.")
                problems.append(
                    Problem(where=f"{where}.{knob.name}".strip("."), rule=f"{knob.label} {rule}", fact=fact)
                )


def _narrowed(knob: Knob, options: Sequence[Any] | None, now: Any) -> Knob:
    """The choice with these options and the one in force."""
    if options is None or knob.kind != "choice":
        return knob
    return replace(knob, options=tuple(o for o in knob.options if o in options or o == now))


def _below(only: Mapping[str, Sequence[Any]], name: str) -> Mapping[str, Sequence[Any]]:
    """What of `only` is about fields of that nested spec."""
    start = f"{name}."
    return {path.removeprefix(start): options for path, options in only.items() if path.startswith(start)}


def _block(
    spec: Spec, knob: Knob, values: dict[str, Any], problems: list[Problem], key: str, where: str,
    only: Mapping[str, Sequence[Any]] = NOTHING,
) -> None:  # fmt: skip
    """A nested spec: always there, switched on and off, or chosen among kinds."""
    path, place = f"{key}.{knob.name}", f"{where}.{knob.name}".strip(".")
    now = getattr(spec, knob.name)
    if knob.optional:
        if not _kept(st.toggle, knob.label, path, now is not None, help=knob.help):
            values[knob.name] = None
            return
        now = now or knob.specs[0]()
    if knob.kind == "union":
        kinds = {kind_of(cls): cls for cls in knob.specs}
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            chosen = _kept(
                st.selectbox,
                knob.label,
                f"{path}.kind",
                now.kind,
                options=list(kinds),
                format_func=option_word,
                help=_kinds_help(knob),
                width=COLUMN_PX,
            )
            st.caption(summary(kinds[chosen]))
        if chosen != now.kind:
            now = carried_over(now, kinds[chosen])
        path = f"{path}.{chosen}"
        more = f"More settings of {option_word(chosen)}"
    else:
        more = f"More settings of {knob.label.lower()}"
    values[knob.name], found = fill(now, key=path, where=place, more=more, only=only)
    problems += found


def carried_over(old: Spec, cls: type[S]) -> S:
    """A spec of another kind that keeps what the person had set, and only that.

    A value still at the old kind's default becomes the new kind's default: AdamW's usual rate is
    not SGD's. Fields the new kind does not have, or cannot take, are left behind.
    """
    defaults = {k.name: k.default for k in knobs(type(old))}
    kept = {
        k.name: getattr(old, k.name)
        for k in knobs(cls)
        if k.name in defaults
        and getattr(old, k.name) != defaults[k.name]
        and fault(cls, k.name, getattr(old, k.name)) is None
    }
    try:
        return cls(**kept)
    except ValidationError:
        return cls()


def _rebuilt(spec: S, values: dict[str, Any], problems: list[Problem], where: str) -> tuple[S, list[Problem]]:
    fields = {name: getattr(spec, name) for name in type(spec).model_fields}
    try:
        return type(spec).model_validate({**fields, **values}), problems
    except ValidationError as error:
        for problem in problems_of(error, where):
            rule = problem.rule.removeprefix("value error, ")
            st.error(plain(rule[:1].upper() + rule[1:], 300) + ".", icon=":material/error:")
            problems.append(Problem(where=where or problem.where, rule=rule, fact=problem.fact))
        return spec, problems


# ---------------------------------------------------------------- one field, one widget


def _field(knob: Knob, value: Any, key: str) -> Any:
    if knob.optional:
        return _optional(knob, value, key)
    return _widget(knob, value, key, knob.label)


def _optional(knob: Knob, value: Any, key: str) -> Any:
    """A switch, and the field once it is on; off means None.

    A field that is usually filled (epochs) needs no switch as long as it is.
    """
    if knob.default is not None and value is not None:
        return _widget(knob, value, key, knob.label)
    with st.container(gap="xxsmall"):
        if not _kept(st.toggle, knob.label, f"{key}.on", value is not None, help=_help(knob)):
            return None
        return _widget(knob, _first_value(knob) if value is None else value, key, knob.label, hide_label=True)


def _first_value(knob: Knob) -> Any:
    """What an optional field starts with when it is switched on."""
    if knob.default is not None:
        return knob.default
    if knob.kind == "choice":
        return knob.options[0]
    if knob.kind == "text":
        return ""
    if knob.kind == "bool":
        return False
    usual = {
        "size": 28, "limit": 1000, "steps": 1000, "clip_norm": 1.0, "stop_at_loss": 0.1, "threads": 1,
        "top_k": 40, "top_p": 0.9, "ema": 0.999, "lora_rank": 8,
    }  # fmt: skip
    low = knob.lo if knob.lo is not None else 0
    return usual.get(knob.name, max(low, 1) if knob.kind == "int" else max(low, 1.0))


def _widget(knob: Knob, value: Any, key: str, label: str, hide_label: bool = False) -> Any:
    visible: Any = "collapsed" if hide_label else "visible"
    hint = None if hide_label else _help(knob)
    if knob.kind == "bool":
        return _kept(st.toggle, label, key, value, help=hint)
    if knob.kind == "choice":
        return _kept(st.selectbox, label, key, value, options=list(knob.options), format_func=option_word,
                     help=hint, label_visibility=visible)  # fmt: skip
    if knob.kind == "text":
        return _kept(st.text_input, label, key, value, help=hint, label_visibility=visible)
    # No bounds for the widget: it would keep a value beyond them to itself, and the run would start
    # with another than the one that is read. `_grid` tells what is wrong with it instead.
    number = int if knob.kind == "int" else float
    step, form = (1, "%d") if knob.kind == "int" else (_step(knob), "%g")
    return _kept(st.number_input, label, key, number(value), step=step, format=form, help=hint,
                 label_visibility=visible)  # fmt: skip


def _kept(widget: Any, label: str, key: str, value: Any, **more: Any) -> Any:
    """A widget that starts at `value` and keeps its own state from then on.

    With a key, a widget's identity does not hang on its default, so that a new default on the next run
    does not reset it. A start through session state would be told to the browser once only, and be
    lost where two runs of a fragment follow each other at once: it would show 0.
    """
    if "options" in more:
        options = more["options"]
        return widget(label, key=key, index=options.index(value) if value in options else 0, **more)
    return widget(label, key=key, value=value, **more)


def _step(knob: Knob) -> float:
    """A tenth of the default's magnitude, so that the arrows move a rate of 0.001 sensibly."""
    base = abs(knob.default) if isinstance(knob.default, float) and knob.default else 0.1
    return float(10.0 ** (math.floor(math.log10(base)) - (0 if base >= 1 else 1))) if base < 1 else 0.5


def _help(knob: Knob) -> str:
    return plain(". ".join(p for p in (knob.help, knob.range_text.capitalize()) if p) + ".", 400)


def _kinds_help(knob: Knob) -> str:
    lines = [f"- **{option_word(kind_of(cls))}**: {plain(summary(cls), 200)}" for cls in knob.specs]
    return "\n".join([plain(knob.help, 200), *lines])
