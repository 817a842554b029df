"""The guided tour: a card in the sidebar that says what each page is for, and a numbered ring at the thing.

Where it stands is the page that one is on, and whether it goes on is one row of the store, so a reload,
a second tab and a restarted server show the same. It covers nothing and blocks nothing: the pages work
as ever, and whoever wanders off finds the stop of the page they wandered to. A home that has never been
asked counts as one on its first visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import streamlit as st

from workbench.ui import nav
from workbench.ui.errors import guard
from workbench.ui.state import store

KEPT = "~tour"  # its row among the drafts; no draft of a person can have this id
OVER = "over"


@dataclass(frozen=True)
class Stop:
    """A page of the tour: what to do there, in Markdown of ours, and the CSS selectors of the thing."""

    page: nav.PageName
    title: str
    text: str
    targets: tuple[str, ...] = ()
    also: tuple[nav.PageName, ...] = ()  # pages that belong to the same stop


WELCOME = Stop(
    "home",
    "Welcome",
    "Six stops show how a network is built, trained and looked into. In a hurry? "
    "**Train a CNN on Fashion-MNIST** starts one at once.",
    (".st-key-quick button",),
)
STOPS = (
    Stop(
        "data",
        "Data",
        "Pictures, texts, tables and series to learn from. Look through them, bring your own with "
        "**Add data**, then **Use for a new run**.",
        (".st-key-add button", ".st-key-use button"),
    ),
    Stop(
        "model",
        "Model",
        "Each row is a layer of the network. Change a number, and shapes and sizes follow. A row that "
        "cannot work is marked and offers its repair.",
        (".st-key-editor",),
    ),
    Stop(
        "train",
        "Train",
        "How it learns. The usual values are filled in; the list beside them says what will happen. "
        "**Launch** when it reads right.",
        (".st-key-launch button",),
    ),
    Stop(
        "live",
        "Live",
        "Curves, and what forms inside: filters and feature maps of pictures, attention of texts. Pause, "
        "change a setting, go on. The run does not need this page: close it and come back.",
        (".wbl-tabs",),
    ),
    Stop(
        "runs",
        "Runs and Compare",
        "Every training, what waits in the queue, and what ended. Choose several and press **Compare** to "
        "lay their curves over each other.",
        (".st-key-table", ".st-key-queue-panel summary", ".st-key-compare-runs"),
        ("compare",),
    ),
    Stop(
        "predict",
        "Predict",
        "Show a trained network a picture, a text or a row, held out or your own: see how sure it is, how it "
        "writes on, or what it forecasts. **Variants** makes it smaller.",
        (".st-key-predict-way", ".st-key-predict-go button"),
        also=("variants",),
    ),
)


def is_on() -> bool:
    """Whether the tour is shown: until someone ends it, and again when someone asks for it."""
    return store().drafts.get(KEPT) != OVER


def turn(on: bool) -> None:
    """Show the tour, or keep it away from now on."""
    store().drafts.put(KEPT, "on" if on else OVER)


def card(page: str) -> None:
    """The stop of `page` in the sidebar, or the button that brings the tour back."""
    with guard(brief=True):
        if not is_on():
            if st.button("Tour", icon=":material/explore:", type="tertiary", key="tour-start",
                         help="Six short stops: what each page is for"):  # fmt: skip
                turn(True)
                nav.go("home")
            return
        number = next((i for i, stop in enumerate(STOPS) if page in (stop.page, *stop.also)), -1)
        _stop(number)


def _stop(number: int) -> None:
    """Draw stop `number` (-1: the welcome), its way on, and the ring at what it is about."""
    stop = WELCOME if number < 0 else STOPS[number]
    last = number == len(STOPS) - 1
    with st.container(border=True, gap="xsmall", key="tour"):
        place = "Tour" if number < 0 else f"Tour · {number + 1} of {len(STOPS)}"
        st.html(
            ring(stop, number)
            + f'<div class="wb-tour"><small>{place}</small><b>{escape(stop.title)}</b></div>'
        )
        st.markdown(stop.text)
        with st.container(horizontal=True, gap="xsmall", key="tour-ways"):
            words = "Start" if number < 0 else "Done" if last else "Next"
            forth = st.button(words, type="primary", key="tour-next", help=_forth(number))
            back = number >= 0 and st.button("Back", key="tour-back", help=_back(number))
            end = not last and st.button("Skip", type="tertiary", key="tour-end",
                                         help="Ends it; the Tour button here brings it back")  # fmt: skip
        if end or (forth and last):
            turn(False)
            st.rerun()
        if forth:
            nav.go(STOPS[number + 1].page)
        if back:
            nav.go(STOPS[number - 1].page if number else WELCOME.page)


def _forth(number: int) -> str:
    return f"To {STOPS[number + 1].title}" if number + 1 < len(STOPS) else "Ends the tour"


def _back(number: int) -> str:
    return f"To {STOPS[number - 1].title}" if number else "To the welcome"


def ring(stop: Stop, number: int) -> str:
    """A style sheet that rings the stop's things and sets its number beside them. Holds no text of a user."""
    if not stop.targets:
        return ""
    places = ", ".join(stop.targets)
    rules = f"{places} {{ outline: 2px solid var(--wb-accent); outline-offset: 4px; border-radius: 6px; }}"
    if number >= 0:
        marks = ", ".join(f"{target}::after" for target in stop.targets)
        rules += f"{places} {{ position: relative; }} {marks} {{ content: '{number + 1}'; }}"
        rules += f"{marks} {{ {_MARK} }}"
    return f"<style>{rules}</style>"


_MARK = (
    "position: absolute; top: -1rem; left: -1rem; width: 1.25rem; height: 1.25rem; border-radius: 50%; "
    "background: var(--wb-accent); color: #fff; font: 700 .75rem/1.25rem sans-serif; text-align: center; "
    "pointer-events: none; z-index: 5;"
)
