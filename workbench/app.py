"""The app in one file: routes and security when a server imports it, frame and pages when Streamlit runs it.

The pages lie in ../pages and not beside this file, because Streamlit would take a folder of that
name beside the entry script for its own multipage convention and skip this script.
"""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

PAGES = Path(__file__).resolve().parent.parent / "pages"
ICON = Path(__file__).resolve().parent / "ui" / "assets" / "logo.svg"
# file, title, icon; the first is the default
MENU = [
    ("home", "Home", ":material/home:"),
    ("data", "Data", ":material/image:"),
    ("model", "Model", ":material/layers:"),
    ("train", "Train", ":material/rocket_launch:"),
    ("live", "Live", ":material/monitoring:"),
    ("runs", "Runs", ":material/table_rows:"),
    ("compare", "Compare", ":material/stacked_line_chart:"),
    ("predict", "Predict", ":material/photo_camera:"),
    ("variants", "Variants", ":material/compress:"),
]


def main() -> None:
    """What runs for every visit: the frame, then the page the URL names."""
    listed = [
        st.Page(PAGES / f"{name}.py", title=title, icon=icon, url_path="" if name == "home" else name,
                default=name == "home")
        for name, title, icon in MENU
    ]  # fmt: skip
    # Before the navigation: else the browser asks fonts.gstatic.com for the page's icon as its favicon.
    st.set_page_config(page_icon=ICON, layout="wide")
    page = st.navigation(listed)
    st.set_page_config(page_title=f"{page.title} · Workbench")
    frame.frame(page.url_path or "home")
    if frame.is_open():
        page.run()


def log_error(error: Exception) -> None:
    """The page shows a short message; the whole story goes to the server's log."""
    logging.getLogger("workbench").error("a page failed", exc_info=error)


if get_script_run_ctx(suppress_warning=True) is None:
    from workbench.live import reruns, routes, security

    reruns.keep_to_the_page()

    app = st.App(
        __file__,
        routes=routes.ROUTES,
        middleware=security.middleware(st.get_option("server.allowedHosts") or security.LOOPBACK),
        lifespan=routes.lifespan,
        on_script_error=log_error,
    )
else:
    from workbench.ui import frame

    main()
