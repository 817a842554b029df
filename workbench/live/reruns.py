"""A press and a timer that meet: neither the page nor the answer that the press brings is lost.

Streamlit 1.67 takes a rerun of a fragment for one of the page it was asked on, even if the browser asked
before it knew of the next page: on a busy machine the press was lost, or the new page stayed blank. And a
timer's runner dropped what the one before it had drawn. Each is closed here by a rule around a function of
Streamlit's that has no public counterpart (decision 12).
"""

from __future__ import annotations

from dataclasses import replace

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, ScriptRequestType

_create = AppSession._create_scriptrunner
_fold = ScriptRequests._request_rerun_locked
_run = ScriptRunner._run_script


def keep_to_the_page() -> None:
    """Put all rules in force; to be called before the first visit."""
    AppSession._create_scriptrunner = _create_behind  # type: ignore[method-assign]
    ScriptRequests._request_rerun_locked = _fold_into_the_page  # type: ignore[method-assign]
    ScriptRunner._run_script = _run_on_its_page  # type: ignore[method-assign]


def _run_on_its_page(self: ScriptRunner, rerun_data: RerunData) -> None:
    """A fragment of a page that has been left is not run: it would announce that page again.

    The browser then drops what the new page drew, and nothing draws it anew.
    """
    shown = self._pages_manager.current_page_script_hash
    if rerun_data.fragment_id_queue and rerun_data.page_script_hash != shown:
        return
    _run(self, rerun_data)


def _fold_into_the_page(self: ScriptRequests, new_data: RerunData) -> bool:
    """A fragment that joins a page which is about to be drawn takes over that page's address.

    Its own is that of the page that is left; it would win, and the press be lost.
    """
    waiting = self._rerun_data
    if self._state is ScriptRequestType.RERUN and new_data.fragment_id and not waiting.fragment_id_queue:
        new_data = replace(
            new_data, page_script_hash=waiting.page_script_hash, page_name=waiting.page_name,
            query_string=waiting.query_string,
        )  # fmt: skip
    return _fold(self, new_data)


def _create_behind(self: AppSession, initial_rerun_data: RerunData) -> None:
    """A fragment's new script runner begins behind all that the one before it has sent.

    Streamlit hands on only what comes from the newest one. What the former one sent may still wait in the
    event loop, and would be dropped: a page, or the answer to a press.
    """
    ended = self._scriptrunner
    if ended is None or not initial_rerun_data.fragment_id:
        _create(self, initial_rerun_data)
        return

    def later() -> None:
        newer = self._scriptrunner
        if self._state is AppSessionState.SHUTDOWN_REQUESTED:
            return
        if newer not in (None, ended) and newer.request_rerun(initial_rerun_data):
            return  # a press came between: the fragment is drawn with it, or after it
        _create(self, initial_rerun_data)

    self._event_loop.call_soon(later)
