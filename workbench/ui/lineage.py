"""Where a run comes from and what came of it; and the way to begin a new one from any of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
import yaml

from workbench.jobs import runs, steering
from workbench.specs.errors import RunError, WorkbenchError
from workbench.specs.run import RunSpec
from workbench.store import RunRow
from workbench.store.checkpoints import CheckpointInfo
from workbench.ui import nav
from workbench.ui.errors import problem_boxes
from workbench.ui.marks import count, metric_text, plain
from workbench.ui.state import begin, store

SHOWN = 4  # children that are linked
FRESH = "fresh"


def lineage(run: RunRow, recent: Sequence[RunRow]) -> None:
    """Links to the parent and to the forks of a run; nothing where there are none."""
    children = [row for row in recent if row.parent == run.id]
    taught = run.spec.training.distill
    if not run.parent and not children and taught is None:
        return
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="lineage"):
        if run.parent:
            at = f" from {run.parent_checkpoint}" if run.parent_checkpoint else ", with fresh weights,"
            st.caption(f"Forked{at} of" if run.parent_checkpoint else f"Forked{at} from", width="content")
            try:
                nav.link("live", plain(store().runs.get(run.parent).name, 50), run=run.parent)
            except RunError:
                st.caption("a run that was deleted", width="content")
        if taught is not None:
            st.caption("Taught by" if not run.parent else "· taught by", width="content")
            try:
                nav.link("live", plain(store().runs.get(taught.teacher).name, 50), run=taught.teacher)
            except RunError:
                st.caption("a run that was deleted", width="content")
        if children:
            st.caption("· forks:" if run.parent else "Forks:", width="content")
            for child in children[:SHOWN]:
                nav.link("live", plain(child.name, 50), run=child.id)
            if len(children) > SHOWN:
                st.caption(f"and {len(children) - SHOWN} more", width="content")


def fork_panel(run: RunRow) -> None:
    """Choose where a new run starts from, then change its settings, or launch it as it is."""
    with st.container(border=True, key="fork"):
        st.markdown("**Fork**")
        st.caption("A new run with these settings, from saved or fresh weights. This run stays as it is.")
        saved = {info.name: info for info in store().checkpoints.list(run.id) if info.is_own}
        options = [FRESH, *sorted(saved, key=_rank)]
        chosen = st.radio(
            "Start from", options, key=f"fork.{run.id}", index=1 if saved else 0,
            format_func=lambda name: "Fresh weights" if name == FRESH else _label(saved[name]),
            captions=[
                "As the seed draws them" if name == FRESH else "Its weights; the optimizer begins anew"
                for name in options
            ],
        )  # fmt: skip
        checkpoint = saved.get(chosen)
        spec = steering.now(store(), run, checkpoint.step) if checkpoint else run.spec
        if checkpoint and spec != run.spec:
            st.caption("It takes the settings that were in force there, steered ones included.")
        name = f"{run.name} (fork)"[:200]
        with st.container(horizontal=True, gap="small"):
            at = checkpoint.name if checkpoint else ""
            fresh = spec.model_copy(update={"name": name})
            if st.button("Change settings", type="primary", icon=":material/tune:", key="fork.edit",
                         help="Opens the Train page with everything filled in"):  # fmt: skip
                nav.go("train", draft=begin(fresh, parent=run.id, checkpoint=at).id)
            if st.button("Launch as it is", icon=":material/play_arrow:", key="fork.launch"):
                try:
                    nav.go("live", run=fork(fresh, run.id, at))
                except WorkbenchError as error:
                    problem_boxes(error.problems)


def fork(spec: RunSpec, parent: str, checkpoint: str = "") -> str:
    """Launch `spec` as a child of `parent`, from a checkpoint of it or with fresh weights; its id.

    Raises SpecError, RunError.
    """
    tree = spec.model_dump(mode="json")
    texts = [
        f"{name}={yaml.safe_dump(value, default_flow_style=True, width=10**9)}"
        for name, value in tree.items()
        if name != "version"
    ]
    return runs.fork(store(), parent, texts, checkpoint or None)


def _rank(name: str) -> tuple[int, str]:
    return ({"best": 0, "last": 1}.get(name, 2), name)


def _label(info: CheckpointInfo) -> str:
    """`best · step 1,200 · validation accuracy 91.2 %`."""
    parts = [info.name, f"step {count(info.step)}"]
    for key, word in (("val/accuracy", "validation accuracy"), ("val/loss", "validation loss")):
        if key in info.metrics:
            parts.append(f"{word} {metric_text(key, info.metrics[key])}")
            break
    return plain(" · ".join(parts), 200)
