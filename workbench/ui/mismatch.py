"""A draft whose layers are for other data than its set: what fits, in one click."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from workbench import catalog
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import WorkbenchError
from workbench.ui import fitting
from workbench.ui.state import Draft, overwrite, store

OFFERED = 3  # presets


def known_schema(name: str) -> DataSchema | None:
    """What a set is; None where there is none of that name: it is told where the shapes are asked for."""
    try:
        return catalog.schema(store(), name)
    except WorkbenchError:
        return None


def mismatch(now: Draft) -> None:
    """Says what the set holds and what the layers are for, and offers the presets that fit. Nothing where
    the two agree."""
    schema, mine = known_schema(now.section("data", DataSpec).name), fitting.of_draft(now)
    if schema is None or mine is None or mine == fitting.purpose_on(schema, now):
        return
    wanted = fitting.purpose_on(schema, now)
    with st.container(border=True, key="mismatch", gap="xsmall"):
        st.markdown(f"**The set holds {wanted.words}; these layers are for {mine.words}.**")
        st.caption("Start with layers that fit, or mend the others row by row.")
        with st.container(horizontal=True, gap="small"):
            starts = fitting.starts_for(wanted)[:OFFERED]
            if not starts and st.button("Start with a small network", type="primary", key="mismatch.plain"):
                data = now.section("data", DataSpec)
                spec = fitting.plain_start(store(), data, wanted)
                overwrite(now, data=spec.data, model=spec.model, task=spec.task, training=spec.training)
                st.rerun()
            for place, preset in enumerate(starts):
                kind: Literal["primary", "secondary"] = "secondary" if place else "primary"
                if st.button(preset.title, type=kind, key=f"mismatch.{preset.name}", help=preset.about):
                    spec = fitting.begun(store(), preset, now.section("data", DataSpec))
                    overwrite(now, data=spec.data, model=spec.model, task=spec.task, training=spec.training)
                    st.rerun()
