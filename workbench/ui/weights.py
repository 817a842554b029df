"""Weights from elsewhere, on the model page: laid onto the design, reported key by key, and begun with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from workbench.jobs import answers
from workbench.specs.run import RunSpec
from workbench.specs.training import TrainingSpec
from workbench.ui.marks import plain
from workbench.ui.state import draft, overwrite, store

TYPES = ["safetensors", "pt", "pth"]
MOST_MB = 2048
WAIT_S = 300.0
WORDS = {
    "matched": "same name",
    "renamed": "by order and shape",
    "missing": "missing in the file",
    "superfluous": "not in the design",
    "misshapen": "another shape",
}


def weights_view(spec: RunSpec) -> None:
    """Which weights the run begins with, and a file to import. spec: of a design that works."""
    begun = spec.training.start_weights
    known = store().weights.names()
    if begun is not None:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            told = f"Runs of this design begin with **{plain(begun)}**."
            st.markdown(told if begun in known else f"{told} It is not there any more.")
            if st.button("Begin with fresh weights", key="weights.fresh"):
                _begin(None)
    elif known:
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            name = st.selectbox("Imported before", known, key="weights.known", width=300)
            if st.button("Begin with them", key="weights.known.go"):
                _begin(name)
    file = st.file_uploader(
        "A file of weights", type=TYPES, max_upload_size=MOST_MB, key="weights.file",
        help="safetensors, or what torch.save(model.state_dict()) wrote. Nothing in it is run",
    )  # fmt: skip
    if file is None:
        st.caption(
            "Weights of another program, laid onto this design: by name, then by order and shape. The report "
            "says of every tensor what became of it; what is missing is drawn anew."
        )
        return
    key = f"weights.report.{draft().id}"
    if st.button("Lay them onto the design", type="primary", key="weights.go", icon=":material/layers:"):
        st.session_state[key] = _imported(spec, file.getvalue(), file.name)
    report: Mapping[str, Any] | None = st.session_state.get(key)
    if report is not None:
        show_report(report)
        if begun != report["name"] and st.button("Begin with them", type="primary", key="weights.begin"):
            _begin(str(report["name"]))


def _imported(spec: RunSpec, content: bytes, name: str) -> Mapping[str, Any]:
    """The report of the answering side. The sender's name never becomes a path."""
    suffix = PurePath(name).suffix.lower()
    suffix = suffix if suffix[1:] in TYPES else ".pt"
    with tempfile.TemporaryDirectory(prefix="workbench-weights-") as folder, st.spinner("Laying them on"):
        path = Path(folder) / f"weights{suffix}"
        path.write_bytes(content)
        payload = {"path": str(path), "spec": spec.model_dump(mode="json"), "name": PurePath(name).stem}
        found: Mapping[str, Any] = answers.ask(store(), "import", payload, timeout_s=WAIT_S)
    return found


def show_report(report: Mapping[str, Any]) -> None:
    """How much was taken, and what became of every tensor."""
    share = f"{report['taken']:,} of {report['parameters']:,} numbers of the model come from the file."
    if report["ok"]:
        st.success(f"Everything fits. {share}", icon=":material/check:")
    else:
        st.warning(f"{share} The rest is drawn anew.", icon=":material/warning:")
    for warning in report["warnings"]:
        st.warning(plain(str(warning), 200), icon=":material/warning:")
    rows = [
        {
            "": WORDS[line["what"]], "In the design": line["ours"], "In the file": line["theirs"],
            "Shape": _shape(line["shape"]), "Shape in the file": _shape(line["their_shape"]),
        }
        for line in report["lines"]
    ]  # fmt: skip
    st.dataframe(rows, hide_index=True, height=min(420, 38 + 35 * len(rows)), key="weights.rows")


def _shape(shape: list[int] | None) -> str:
    return "" if shape is None else "×".join(map(str, shape)) or "a number"


def _begin(name: str | None) -> None:
    now = draft()
    training = now.section("training", TrainingSpec).model_copy(update={"start_weights": name})
    overwrite(now, training=training)
    st.toast("Runs begin with fresh weights." if name is None else f"Runs begin with {plain(name)}.")
    st.rerun()
