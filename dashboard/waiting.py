"""What is under way: progress, time left and Cancel, without blocking the page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

import streamlit as st

from core.engine.executor import Handle
from core.errors import Cancelled, FluoroscopeError, StorageError, UserError
from dashboard import cached, state
from dashboard.ticking import ticking

_OPEN = ("waiting", "running")
_PATIENCE = 0.4  # seconds that a page waits for what it has just asked for, before it draws without


def settled(*handles: Handle) -> bool:
    """Whether none of these is under way."""
    return all(handle.state not in _OPEN for handle in handles)


def under_way(handles: Mapping[str, Handle]) -> dict[str, Handle]:
    """Those of these that have not ended; to be asked before the page draws what has. What was just
    asked for gets a moment to end: the answer is then there with the first drawing.
    """
    deadline = time.monotonic() + _PATIENCE
    for handle in handles.values():
        if handle.call.key not in state.met():
            state.met().add(handle.call.key)
            with suppress(FluoroscopeError, TimeoutError):  # what went wrong is told in its place
                handle.result(timeout=max(0.0, deadline - time.monotonic()))
    return {title: handle for title, handle in handles.items() if not settled(handle)}


def watch(handles: Mapping[str, Handle]) -> None:
    """A line of progress per call of those that were ``under_way``; redraws the page when one of
    them ends, at once when it did so while the page was drawn.
    """
    if handles:
        _lines(handles)


@ticking(0.3)
def _lines(handles: Mapping[str, Handle]) -> None:
    if any(settled(handle) for handle in handles.values()):
        st.rerun()
    for title, handle in handles.items():
        text, bar, stop = st.columns([3, 5, 1], vertical_alignment="center", gap="small")
        progress = handle.progress
        left = progress.remaining
        note = progress.note if progress.note != title else ""
        note = "waiting" if handle.state == "waiting" else note or "computing"
        text.markdown(f"{title} · :gray[{state.plain(note.lower())}]")
        bar.progress(progress.fraction, "" if left is None else f"{duration(left)} left")
        if stop.button("Cancel", key=f"cancel:{handle.call.key}", type="tertiary"):
            cached.cancel(handle)
            st.rerun()


def failed(title: str, handle: Handle) -> bool:
    """Say what went wrong with a call, with a way to try again; False when nothing did."""
    if handle.error is None:
        return False
    if isinstance(handle.error, UserError) and not isinstance(handle.error, StorageError):
        st.error(f"{title}: {state.plain(str(handle.error))}")  # the same again ends the same
        return True
    again = "Compute" if isinstance(handle.error, Cancelled) else "Try again"
    notice, button = st.columns([8, 1], vertical_alignment="center")
    if isinstance(handle.error, Cancelled):
        notice.info(f"{title}: cancelled.")
    else:
        notice.error(f"{title}: {state.plain(str(handle.error))}")
    if button.button(again, key=f"again:{handle.call.key}", type="tertiary"):
        cached.forget(handle.call)
        st.rerun()
    return True


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
