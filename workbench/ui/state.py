"""What a person is working on: the store, and the draft of the next run.

A draft lives in the store under an id in the URL (`?draft=`), so a reload, a second tab and a
restarted server show the same. It is kept as plain data, because a half-edited stack may be wrong.
Session state holds only the id, for the menu's links that carry no query.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import streamlit as st
from pydantic import ValidationError

from workbench.specs.base import Spec, problems_of
from workbench.specs.errors import Problem
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.tasks import TOKEN_TASKS
from workbench.store import Store, open_store
from workbench.ui import stack

S = TypeVar("S", bound=Spec)
DRAFT_ID = re.compile(r"[A-Za-z0-9_-]{4,40}")
FIRST_PRESET = "cnn-mnist"
KEPT_S = 30 * 86_400.0  # a draft that nobody touched for so long is forgotten


def store() -> Store:
    """The store of this app, opened once per process and home. Raises StoreError when it cannot be
    opened as it is, or when its file was removed or replaced since."""
    names = ("WORKBENCH_HOME", "WORKBENCH_STORE", "WORKBENCH_ARTIFACTS")
    opened = _store(tuple(os.environ.get(name, "") for name in names))
    opened.must_be_there()
    return opened


def reopen() -> None:
    """Let go of the store, so that the next look opens what is there then."""
    _store.clear()


@st.cache_resource(show_spinner=False)
def _store(environment: tuple[str, ...]) -> Store:
    return open_store()


@dataclass(frozen=True)
class Draft:
    """The next run, as far as it is thought out.

    tree: a RunSpec as plain data; its model may be wrong. rev: grows when something other than its
    own form changed the draft (a preset, an import), so that the forms start afresh. parent: the run
    it is a fork of, and checkpoint the one it takes the weights of; empty: neither.
    """

    id: str
    tree: dict[str, Any]
    rev: int = 0
    parent: str = ""
    checkpoint: str = ""

    @property
    def model(self) -> stack.Model:
        """Both stacks as plain data, as far as they can be read."""
        return stack.read(self.tree.get("model"))

    @property
    def per_token(self) -> bool:
        """Whether every token has scores, as in a language model."""
        task = self.tree.get("task")
        return isinstance(task, dict) and task.get("kind") in TOKEN_TASKS

    def section(self, name: str, cls: type[S]) -> S:
        """One block of the spec (`data`, `training`), or its defaults where it cannot be read."""
        try:
            return cls.model_validate(self.tree.get(name, {}))
        except ValidationError:
            return cls()

    def with_(self, **blocks: Any) -> Draft:
        """A draft with blocks replaced; specs are taken as plain data."""
        plain = {k: v.model_dump(mode="json") if isinstance(v, Spec) else v for k, v in blocks.items()}
        return replace(self, tree={**self.tree, **plain})

    def spec(self) -> RunSpec:
        """The whole as a RunSpec. Raises SpecError with every problem."""
        return from_dict(self.tree)

    def problems(self) -> list[Problem]:
        """Why `spec` would refuse, located at layer and field."""
        faults = stack.faults(self.model)
        if faults:
            return [problem for row in sorted(faults) for problem in faults[row]]
        try:
            RunSpec.model_validate(self.tree)
        except ValidationError as error:
            return list(problems_of(error))
        return []


def draft() -> Draft:
    """The draft that the URL names, else this session's, else a new one from the first preset."""
    asked = str(st.query_params.get("draft", ""))
    known = str(st.session_state.get("draft_id", ""))
    draft_id = next((i for i in (asked, known) if DRAFT_ID.fullmatch(i)), "") or _new_id()
    st.session_state["draft_id"] = draft_id
    if asked != draft_id:
        st.query_params["draft"] = draft_id
    text = store().drafts.get(draft_id)
    if text:
        kept = json.loads(text)  # drafts of older versions name no parent
        parent, checkpoint = str(kept.get("parent") or ""), str(kept.get("checkpoint") or "")
        return Draft(draft_id, kept["spec"], kept["rev"], parent, checkpoint)
    return Draft(draft_id, _tree(PRESETS[FIRST_PRESET].spec))


def save(changed: Draft) -> Draft:
    """Keep the draft. Cheap enough for every keystroke (one row)."""
    kept = {"rev": changed.rev, "spec": changed.tree}
    if changed.parent:
        kept |= {"parent": changed.parent, "checkpoint": changed.checkpoint}
    store().drafts.put(changed.id, json.dumps(kept))
    return changed


def begin(spec: RunSpec, *, parent: str = "", checkpoint: str = "") -> Draft:
    """A new draft from a whole spec (a preset, a fork, an import), kept and made current. Lets go of
    drafts that were not touched for a month."""
    store().drafts.prune(KEPT_S)
    fresh = save(Draft(_new_id(), _tree(spec), 1, parent, checkpoint))
    st.session_state["draft_id"] = fresh.id
    return fresh


def overwrite(draft: Draft, **blocks: Any) -> Draft:
    """Replace blocks of the draft from outside its forms, which then start afresh."""
    return save(replace(draft.with_(**blocks), rev=draft.rev + 1))


def _tree(spec: RunSpec) -> dict[str, Any]:
    tree: dict[str, Any] = spec.model_dump(mode="json")
    return tree


def _new_id() -> str:
    return secrets.token_urlsafe(9)
