"""Where the pages are, and how one leads to another. The URL carries what the next page must know."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NoReturn

import streamlit as st

PageName = Literal["home", "data", "model", "train", "live", "runs", "compare", "predict", "variants"]
MAX_COMPARED = 50  # runs on the compare page at a time
FOLDER = Path(__file__).resolve().parents[2] / "pages"


def path(page: PageName) -> str:
    """The page's script. Absolute, so that it does not depend on where the entry script lies."""
    return str(FOLDER / f"{page}.py")


def go(page: PageName, **query: str) -> NoReturn:
    """Leave for another page, with `query` in its URL."""
    st.switch_page(path(page), query_params=query)


def link(
    page: PageName, label: str, *, icon: str | None = None, help: str | None = None, **query: str
) -> None:
    """A link to another page. `label` is Markdown: pass names through `marks.plain`."""
    st.page_link(path(page), label=label, icon=icon, help=help, query_params=query)


def asked(name: str) -> str:
    """A value of the URL, or an empty text."""
    return str(st.query_params.get(name, ""))
