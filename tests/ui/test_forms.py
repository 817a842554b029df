"""A form untouched gives back the spec it was drawn from; a touched one gives what was asked."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from workbench.specs.base import Spec
from workbench.specs.data import DataSpec
from workbench.specs.layers import LAYERS
from workbench.specs.optimizers import SGD, Adam, AdamW
from workbench.specs.schedules import Cosine
from workbench.specs.tasks import ClassificationTask, LanguageModelTask, TranslationTask
from workbench.specs.training import EarlyStopping, TrainingSpec, WatchSpec
from workbench.ui.fields import fault, knobs, spec_types
from workbench.ui.forms import carried_over
from workbench.ui.marks import plain

ROOTS: tuple[type[Spec], ...] = (
    DataSpec, TrainingSpec, ClassificationTask, LanguageModelTask, TranslationTask, WatchSpec,
)  # fmt: skip
SPECS: list[type[Spec]] = [
    *{cls for root in ROOTS for cls in spec_types(root)},
    *LAYERS.values(),
]
SPECS.sort(key=lambda cls: cls.__qualname__)


def page(cls, tree):  # type: ignore[no-untyped-def]  # runs in a namespace of its own
    import streamlit as st

    from workbench.ui.forms import fill

    spec, problems = fill(cls.model_validate(tree), key="form", where="spec")
    st.session_state["out"] = spec
    st.session_state["problems"] = problems


def drawn(spec: Spec) -> AppTest:
    app = AppTest.from_function(page, args=(type(spec), spec.model_dump()), default_timeout=20)
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__qualname__)
def test_an_untouched_form_gives_back_its_defaults(cls: type[Spec]) -> None:
    app = drawn(cls())
    assert app.session_state["out"] == cls()
    assert app.session_state["problems"] == []


def test_an_untouched_form_gives_back_unusual_values() -> None:
    spec = TrainingSpec(
        optimizer=SGD(lr=0.3, momentum=0.5, nesterov=True),
        schedule=Cosine(warmup=0.1, final=0.05),
        batch_size=7,
        epochs=None,
        steps=123,
        stop_at_loss=0.25,
        early_stopping=EarlyStopping(metric="val/accuracy", patience=3),
        clip_norm=1.5,
        precision="bf16",
        device="cpu",
        threads=2,
    )
    app = drawn(spec)
    assert app.session_state["out"] == spec
    assert app.session_state["problems"] == []


def test_a_typed_number_arrives_in_the_spec() -> None:
    app = drawn(TrainingSpec())
    app.number_input(key="form.batch_size").set_value(64).run()
    assert app.session_state["out"].batch_size == 64


def test_another_optimizer_keeps_what_the_person_set() -> None:
    app = drawn(TrainingSpec(optimizer=AdamW(lr=0.02)))
    app.selectbox(key="form.optimizer.kind").set_value("sgd").run()
    out = app.session_state["out"].optimizer
    assert (out.kind, out.lr, out.momentum) == ("sgd", 0.02, 0.9)


def test_a_value_left_at_its_default_takes_the_new_kinds_default() -> None:
    assert carried_over(Adam(), SGD) == SGD()
    assert carried_over(Adam(weight_decay=0.3), SGD) == SGD(weight_decay=0.3)


def test_a_value_the_new_kind_cannot_take_is_left_behind() -> None:
    assert fault(SGD, "momentum", 1.0) is not None
    assert carried_over(SGD(momentum=0.1, nesterov=True), Adam) == Adam()


def test_an_optional_field_is_switched_on_and_off() -> None:
    app = drawn(TrainingSpec())
    app.toggle(key="form.clip_norm.on").set_value(True).run()
    assert app.session_state["out"].clip_norm == 1.0
    app.toggle(key="form.clip_norm.on").set_value(False).run()
    assert app.session_state["out"].clip_norm is None


def test_an_optional_block_is_switched_on() -> None:
    app = drawn(TrainingSpec())
    app.toggle(key="form.early_stopping").set_value(True).run()
    assert app.session_state["out"].early_stopping == EarlyStopping()


def test_a_value_beyond_an_open_bound_is_told_at_its_field() -> None:
    app = drawn(AdamW())
    app.number_input(key="form.lr").set_value(0.0).run()
    assert app.session_state["out"] == AdamW()  # the last good spec
    assert [p.where for p in app.session_state["problems"]] == ["spec.lr"]
    assert "above 0" in app.error[0].value


def test_a_rule_between_two_fields_is_told_under_the_form() -> None:
    app = drawn(SGD(nesterov=True))
    app.number_input(key="form.momentum").set_value(0.0).run()
    assert "needs momentum above 0" in app.error[0].value.replace("\\", "")
    assert len(app.session_state["problems"]) == 1


def test_every_field_of_every_spec_has_help() -> None:
    bare = [f"{cls.__name__}.{k.name}" for cls in SPECS for k in knobs(cls) if not k.help]
    assert bare == []


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__qualname__)
def test_every_field_shows_its_unit_and_its_help(cls: type[Spec]) -> None:
    drawn_fields = [k for k in knobs(cls) if k.kind not in ("other", "spec", "union")]
    app = drawn(cls())
    kinds = ("number_input", "selectbox", "text_input", "toggle")
    shown = {w.key: w for kind in kinds for w in getattr(app, kind)}
    for knob in drawn_fields:
        widget = shown.get(f"form.{knob.name}") or shown.get(f"form.{knob.name}.on")
        assert widget is not None, knob.name
        assert plain(knob.help, 400).rstrip("…\\")[:200] in (widget.help or ""), knob.name
        assert knob.unit.lower() in widget.label.lower(), knob.name
