"""How texts become tokens: the form of the tokenizer's settings, and what it makes of the texts of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data.text.stored import Stored
from workbench.figures.lengths import lengths_figure, lengths_info
from workbench.figures.theme import PLAIN
from workbench.specs.data import DataSpec, TextSpec
from workbench.specs.errors import DataError, Problem
from workbench.store.datasets import DatasetRow
from workbench.ui import fitting
from workbench.ui.errors import problem_boxes
from workbench.ui.forms import fill
from workbench.ui.marks import count, share
from workbench.ui.state import draft, save, store

LONGEST = 20_000  # characters of a typed text
OWN = ("character", "word", "bpe", "wordpiece")  # trained on the set; those of a pretrained model are its own
TINTS = 6  # colours of tokens that follow each other
SHOWN = 400  # tokens of one text
COMMON = 60  # entries of the vocabulary
COUNTED = 4_000_000  # tokens in which they are counted
VISIBLE = {"\n": "⏎", " ": "␣", "\t": "⇥", "\r": "␍"}


def text_form(spec: TextSpec, task: str, *, key: str) -> TextSpec:
    """The settings as the widgets say them."""
    return text_fields(spec, task, key=key)[0]


def text_fields(spec: TextSpec, task: str, *, key: str) -> tuple[TextSpec, list[Problem]]:
    """The same, and what is wrong with them. Only settings that the tokenizer in force has are shown."""
    borrowed = st.session_state.get(f"{key}.tokenizer", spec.tokenizer) == "pretrained"
    skip = {"vocabulary", "lowercase", "min_frequency"} if borrowed else {"source"}
    only = {} if task == "classification" else {"tokenizer": OWN}
    called = {"length": "Context"} if task == "language_model" else {}
    return fill(spec, key=key, where="data.text", skip=skip, only=only, folded=not borrowed, called=called)


# ---------------------------------------------------------------- the view of a set


def text_of(row: DatasetRow) -> TextSpec:
    """The settings in force for a set: the draft's where it uses the set, those tried here before, or those
    of the first preset for such data."""
    spec = draft().section("data", DataSpec)
    if spec.name == row.name:
        return spec.text
    if (found := tried(row.name)) is not None:
        return found
    return fitting.usual_text(fitting.of_set(row.schema))


def tried(name: str) -> TextSpec | None:
    """Settings that were tried on a set which the draft does not use."""
    kept = st.session_state.get(f"tokens.{name}")
    return TextSpec.model_validate_json(kept) if isinstance(kept, str) else None


def tokens(row: DatasetRow) -> None:
    """What the tokenizer makes of the texts: one of them in tokens, lengths, unknown ones, the vocabulary."""
    now = draft()
    mine = now.section("data", DataSpec)
    spec = mine if mine.name == row.name else DataSpec(name=row.name, text=text_of(row))
    text = text_form(spec.text, row.schema.task, key=f"tokens.{now.id}.{now.rev}.{row.name}")
    if text != spec.text:
        spec = spec.model_copy(update={"text": text})
        if mine.name == row.name:
            save(now.with_(data=spec))
        else:
            st.session_state[f"tokens.{row.name}"] = text.model_dump_json()
    target = False
    if row.schema.task == "translation":
        sides = ["Text", "Translation"]
        chosen = st.segmented_control("Side", sides, default=sides[0], required=True, key=f"side.{row.name}")
        target = chosen == sides[1]
    try:
        with st.spinner("Learning the vocabulary"):
            known = _known(str(row.path), row.fingerprint, spec.model_dump_json(), target)
    except DataError as error:
        problem_boxes(error.problems)
        return
    st.html(_facts(known, spec.text, row.schema.task))
    _one_text(row, spec, target)
    if row.schema.task != "language_model":
        found = known["lengths"]
        st.markdown("**Length of the texts**")
        info = lengths_info(found.edges, found.counts, known["most"], found.cut)
        st.plotly_chart(lengths_figure(info), key=f"lengths.{row.name}", config=PLAIN)
        st.caption(
            f"{share(found.cut)} of the texts are longer than {count(known['most'])} tokens: what follows is "
            "cut off."
            if found.cut else "No text is cut."
        )  # fmt: skip
    st.markdown("**Most frequent entries of the vocabulary**")
    st.html(common(known["common"]))
    st.caption(
        f"With how often each stands in the training texts. All {count(known['size'])} entries come from the "
        "training split alone."
    )


@st.cache_data(show_spinner=False, max_entries=32)
def _known(path: str, fingerprint: str, data: str, target: bool) -> dict[str, Any]:
    """What is told of a set under some settings: it is worked out once. Raises DataError."""
    spec = DataSpec.model_validate_json(data)
    lengths = catalog.lengths(store(), spec, target=target)
    found = catalog.load(store(), spec)
    tokenizer = found.target_tokenizer if target else found.tokenizer
    ids = (found.train.target if target else found.train.ids).values[:COUNTED]
    counts = np.bincount(ids, minlength=tokenizer.size)
    top = np.argsort(-counts, kind="stable")[:COMMON]
    top = top[counts[top] > 0]
    rates = catalog.unknown_rate(store(), spec)
    prefix = "target " if target else ""
    return {
        "lengths": lengths,
        "most": spec.text.length - (1 if found.schema.task == "translation" else 0),
        "size": tokenizer.size,
        "common": list(zip(tokenizer.tokens(top.tolist()), counts[top].tolist(), strict=True)),
        "unknown": {name: rates.get(prefix + name) for name in ("train", "validation")},
    }


def _facts(known: Mapping[str, Any], text: TextSpec, task: str) -> str:
    lengths, unknown = known["lengths"], known["unknown"]
    items = [(count(known["size"]), "entries in the vocabulary")]
    for split, words in (("train", "unknown in training"), ("validation", "unknown in validation")):
        if unknown[split] is not None:
            items.append((f"{100 * unknown[split]:.2f} %", words))
    total = sum(lengths.tokens.values())
    if task == "language_model":
        items += [
            (count(total), "tokens in all"),
            (count(total // text.length), f"windows of {count(text.length)}"),
        ]
    else:
        items += [
            (f"{lengths.mean:.1f}", "tokens a text, on the mean"),
            (count(lengths.longest), "tokens the longest"),
            (share(lengths.cut), "of the texts are cut"),
        ]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in items)
    return f'<div class="wb-facts">{cells}</div>'


def _one_text(row: DatasetRow, spec: DataSpec, target: bool) -> None:
    """A text of the set, or one that is typed, in its tokens."""
    ways = ["From the set", "Type one"]
    way = st.segmented_control("A text", ways, default=ways[0], required=True, key=f"tokens.way.{row.name}")
    if way == ways[1]:
        typed = st.text_area(
            "Text", key=f"tokens.typed.{row.name}", height=90, max_chars=LONGEST,
            label_visibility="collapsed", placeholder="Type a text",
        )  # fmt: skip
        if not typed:
            return
        text = typed
    else:
        key = f"tokens.index.{row.name}"
        st.session_state.setdefault(key, 0)

        def another() -> None:
            st.session_state[key] = int(np.random.default_rng().integers(row.rows))

        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            index = int(
                st.number_input("Number", min_value=0, max_value=row.rows - 1, step=1, key=key, width=140)
            )
            st.button("Another", icon=":material/shuffle:", on_click=another, key="tokens.another")
        text = Stored(row.path).text(index, "target" if target else "text")
    found = catalog.tokenized(store(), spec, text, target=target)
    st.html(coloured(found.tokens[:SHOWN], found.ids, found.unknown))
    n = len(found.ids)
    words = f"{count(n)} token{'' if n == 1 else 's'}"
    if any(found.unknown):
        words += f", {count(sum(found.unknown))} unknown"
    if n > SHOWN:
        words += f"; the first {SHOWN} are shown"
    if found.is_cut:
        words += ". The text goes on: the rest is cut off"
    st.caption(words + ".")


def coloured(shown: Sequence[str], ids: Sequence[int], unknown: Sequence[bool]) -> str:
    """HTML of tokens in alternating tints, each with its number; unknown ones are marked."""
    parts = []
    for i, token in enumerate(shown):
        looks = f"t{i % TINTS}" + (" unknown" if unknown[i] else "")
        told = "unknown: the vocabulary lacks it" if unknown[i] else f"number {ids[i]:,}"
        parts.append(
            f'<span class="{looks}" title="{told}">{escape(visible(token))}<small>{ids[i]}</small></span>'
        )
        if token.endswith("\n"):
            parts.append("<i></i>")  # the next one begins a line
    return f'<div class="wb-tokens">{"".join(parts)}</div>'


def common(entries: Sequence[tuple[str, int]]) -> str:
    """HTML of entries and how often they occur."""
    parts = [
        f'<span class="t{i % TINTS}">{escape(visible(token))}<small>{n:,}</small></span>'
        for i, (token, n) in enumerate(entries)
    ]
    return f'<div class="wb-tokens common">{"".join(parts)}</div>'


def visible(token: str) -> str:
    """A token with its blanks to be seen."""
    return "".join(VISIBLE.get(c, c) for c in token) or "∅"
