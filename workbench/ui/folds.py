"""Mean ± sd over runs of one experiment: cross-validations on the Runs page, seeds and folds on Compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import streamlit as st

from workbench.jobs import folds
from workbench.specs.diff import same_but_seed
from workbench.store import RunRow
from workbench.ui import nav
from workbench.ui.marks import metric_text, metric_words, plain
from workbench.ui.state import store

SHOWN = 5  # cross-validations, newest first
REFRESH_S = 3


@st.fragment(run_every=REFRESH_S)
def panel() -> None:
    """The newest cross-validations with their mean ± sd; nothing where there are none."""
    names = folds.groups(store())
    if not names:
        return
    with st.container(border=True, key="folds", gap="xsmall"):
        st.markdown("**Cross-validations**")
        for name in names[:SHOWN]:
            found = folds.summary(store(), name)
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                nav.link("compare", plain(found.name or name, 60), runs=",".join(found.runs))
                st.caption(words(found), width="content")
        if len(names) > SHOWN:
            st.caption(f"The {SHOWN} newest of {len(names)}; their tags begin with {folds.PREFIX}")


def words(found: folds.Summary) -> str:
    """Markdown: the first metric's mean ± sd of so many folds, what went wrong, what is to come."""
    key = found.headline
    parts = [_value(key, found.metrics[key]["best"])] if key else []
    parts += [f":red[fold {fold} {state}]" for fold, _, state in found.wrong]
    if found.left:
        parts.append(f"{found.left} of {len(found.runs)} to come")
    return " · ".join(parts)


def spreads(runs: Sequence[RunRow]) -> None:
    """Mean ± sd of each group of runs that differ in seed or fold alone; nothing where there is none."""
    by_id = {run.id: run for run in runs}
    for group in same_but_seed({run.id: json.loads(run.spec_json) for run in runs}):
        found = folds.spread([by_id[run_id] for run_id in group])
        told = [_value(key, found[key]["best"]) for key in sorted(found, key=_place)]
        if told:
            first = by_id[group[0]].name
            st.caption(f"**Mean ± sd of the {len(group)} like {plain(first, 50)}**: {' · '.join(told[:6])}")


def _place(key: str) -> tuple[int, str]:
    return (folds.FIRST.index(key) if key in folds.FIRST else len(folds.FIRST), key)


def _value(key: str, told: Mapping[str, float]) -> str:
    mean, sd = metric_text(key, told["mean"]), metric_text(key, told["sd"])
    return f"{plain(metric_words(key))} {plain(mean)} ± {plain(sd)} (n = {int(told['n'])})"
