"""Variants: a trained run beside what was made smaller of it, and the ways to make more."""

from __future__ import annotations

import streamlit as st

from workbench.ui import nav, predict, variants
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.presets import nothing_yet

with guard():
    heading("Variants", "A trained model beside its smaller ones: pruned, taught, or with 8-bit weights.")
    rows = [row for row in predict.ready_runs() if not row.is_own_loop]
    if not rows:
        nothing_yet("No run has saved a model yet. Once one has, smaller variants are made of it here.")
        st.stop()
    run = variants.choose(rows)
    variants.made(run)
    for part in variants.in_order(run):
        with guard():
            part(run)
    nav.link("predict", "Try the run or an 8-bit variant", icon=":material/photo_camera:", run=run.id)
