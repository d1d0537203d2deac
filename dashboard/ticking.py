"""Parts of a page that draw themselves anew by a clock."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

_P = ParamSpec("_P")


def ticking(seconds: float) -> Callable[[Callable[_P, None]], Callable[_P, None]]:
    """A fragment that runs every so many seconds, alone in a container of its own.

    When such a part runs again before the browser was sent its first drawing, Streamlit 1.67 takes
    that drawing out of what waits to be sent. What stands after it in the same container would then
    come before it, and the browser gives up with a blank page ("Bad delta path index").
    """

    def decorate(draw: Callable[_P, None]) -> Callable[_P, None]:
        part = st.fragment(draw, run_every=seconds)

        @functools.wraps(draw)
        def alone(*args: _P.args, **kwargs: _P.kwargs) -> None:
            with st.container():
                part(*args, **kwargs)

        return alone

    return decorate
