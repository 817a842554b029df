"""Problems as boxes: where, rule, fact, repair. Never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st

from workbench.specs.errors import Problem, WorkbenchError
from workbench.ui.marks import message

log = logging.getLogger("workbench.pages")


def problem_box(problem: Problem) -> None:
    """One problem: what must hold, what is the case instead, and what to do."""
    rule = problem.rule[:1].upper() + problem.rule[1:]
    lines = [f"**{message(problem.where, 120)}** — {message(rule)}, but {message(problem.fact)}."]
    if problem.repair:
        lines.append(message(problem.repair))
    text = "  \n".join(lines)
    if problem.severity == "error":
        st.error(text, icon=":material/error:")
    else:
        st.warning(text, icon=":material/info:")


def problem_boxes(problems: Iterable[Problem]) -> None:
    """Errors first, then warnings."""
    for problem in sorted(problems, key=lambda p: p.severity != "error"):
        problem_box(problem)


@contextmanager
def guard() -> Iterator[None]:
    """Whatever goes wrong inside is told in words; the traceback goes to the log alone."""
    try:
        yield
    except WorkbenchError as error:
        problem_boxes(error.problems)
    except Exception:
        log.exception("a page failed")
        st.error(
            "This part of the page could not be shown. Reload the page; if it happens again, the "
            "app's log has the details.",
            icon=":material/error:",
        )
