"""The suite itself: what one test does must not reach the next."""

from __future__ import annotations

import multiprocessing
import operator
import sys

from streamlit.testing.v1 import AppTest

from tests.conftest import own_main


def page(word):  # type: ignore[no-untyped-def]  # runs in a namespace of its own
    import streamlit as st

    st.write(word)


def test_a_process_can_be_spawned_after_a_page_was_opened() -> None:
    main = sys.modules["__main__"]
    with own_main():
        AppTest.from_function(page, args=("hello",), default_timeout=60).run()
        assert sys.modules["__main__"] is not main, "else nothing has to be put back"
    assert sys.modules["__main__"] is main
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(operator.add, (1, 2)).get(timeout=100) == 3
