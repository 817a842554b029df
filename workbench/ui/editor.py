"""The Python face of the layer editor: a component in a fragment, so that typing reruns little.

The browser sends {nonce, seq, rev, layers}; the answer carries the same nonce and seq, so that an
older answer never touches newer typing. `rev` names the stack that Python last put there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.specs.base import AnyShape
from workbench.specs.model import ModelSpec
from workbench.ui import stack
from workbench.ui.menu import menu

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("parts", "tree", "editor", "rows", "answers", "keys", "menu")  # joined: a component is one script
_component = st.components.v2.component(
    "workbench.layer_editor",
    html='<div class="wb-editor"></div>',
    css=(_ASSETS / "editor.css").read_text(),
    js="\n".join(
        (_ASSETS / f"{name}.js").read_text() for name in ("press", *(f"editor/{n}" for n in _SCRIPTS))
    ),
)


def layer_editor(
    model: stack.Model,
    shape: AnyShape,
    n_scores: int,
    *,
    rev: str,
    on_edit: Callable[[stack.Model], None],
    per_token: bool = False,
    key: str = "editor",
) -> dict[str, Any]:
    """Draw the editor and return the report on the model (`stack.report`).

    model: its stacks as kept; rev: changes when they were put there by anything but this editor;
    on_edit: called with the new model before the page or fragment reruns; the others: see `stack.report`.
    """

    def edited() -> None:
        sent = st.session_state[key].get("edit")
        if not isinstance(sent, dict) or sent.get("rev") != rev:
            return  # typed into a stack that has been replaced meanwhile
        st.session_state[f"{key}_echo"] = {"nonce": sent.get("nonce"), "seq": sent.get("seq")}
        on_edit(stack.read(sent.get("model")))

    report = stack.report(model, shape, n_scores, per_token=per_token)
    data = {
        "rev": rev,
        "echo": st.session_state.get(f"{key}_echo"),
        "model": model,
        "report": report,
        "menu": menu(report["reads"]),
        "tie": TIE_HELP if report["paired"] or per_token else "",
        "causal": per_token,
    }
    _component(key=key, data=data, on_edit_change=edited)
    return report


TIE_HELP = str(ModelSpec.model_fields["tie_embeddings"].description)
