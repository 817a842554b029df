"""Problems as boxes: where, rule, fact, repair. Never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st
from sqlalchemy.exc import DBAPIError

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
def guard(*, brief: bool = False) -> Iterator[None]:
    """Whatever goes wrong inside is told in words; the traceback goes to the log alone.

    brief: one short line, for a corner of the frame; the page beside it says the rest.
    """
    try:
        yield
    except WorkbenchError as error:
        if brief:
            st.caption("The state of the runs cannot be read now.")
        else:
            problem_boxes(error.problems)
    except DBAPIError as error:
        log.exception("the database failed under a page")
        if brief:
            st.caption("The state of the runs cannot be read now.")
        else:
            problem_box(database_problem(error))
    except Exception:
        log.exception("a page failed")
        st.error(
            "This part of the page could not be shown. Reload the page; if it happens again, the "
            "app's log has the details.",
            icon=":material/error:",
        )


def database_problem(error: DBAPIError) -> Problem:
    """What the database said while it was in use, and what helps."""
    fact = str(error.orig or error).splitlines()[0]
    if "malformed" in fact or "not a database" in fact:
        repair = "Save what can be saved: workbench doctor --salvage. It keeps the damaged file."
    elif "locked" in fact:
        repair = "Another program holds it for long. Reload this page in a moment."
    elif "readonly" in fact or "unable to open" in fact:
        repair = "Check that the home folder is there and that you may write to it."
    elif "full" in fact:
        repair = "Make room on the disk; the runs go on as soon as there is some."
    else:
        repair = "Reload this page in a moment; `workbench doctor` looks at the store."
    return Problem(where="the database", rule="it must be readable and writable", fact=fact, repair=repair)
