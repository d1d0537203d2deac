"""How wide the page is, as the browser measures it: figures of many panels are laid out for it."""

from __future__ import annotations

import streamlit as st

from dashboard import state
from dashboard.front import WINDOW

# Where not even the window is known: what one of 1440 pixels leaves beside the sidebar.
USUAL = 1040
_STEP = 40
_SIDEBAR, _BESIDE = 281, 768  # Streamlit's, which lies over the page where the window is narrower
_LEAST, _MOST = 15, 75  # padding on each side, which is 4 % of the window (page.css)
_KEY = "ruler"

_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const box = parentElement.querySelector('.ruler');
  let told = data.width;
  const measure = () => {
    const width = Math.floor(box.getBoundingClientRect().width / data.step) * data.step;
    if (width > 0 && width !== told) setStateValue('width', (told = width));
  };
  const observer = new ResizeObserver(measure);
  observer.observe(box);
  return () => observer.disconnect();
}
"""


def width() -> int:
    """Pixels across the page, rounded down to a multiple of 40, so that a scroll bar that comes
    and goes redraws nothing.
    """
    return state.reported(_KEY, "width", _beside_the_sidebar())


def _beside_the_sidebar() -> int:
    """What the window leaves to the page, before the page itself was measured."""
    told = str(st.context.cookies.get(WINDOW, ""))
    if not told.isdecimal() or len(told) > 5:
        return USUAL
    window = int(told)
    padding = min(_MOST, max(_LEAST, 0.04 * window))
    page = window - 2 * padding - (_SIDEBAR if window > _BESIDE else 0)
    return max(_STEP, int(page) // _STEP * _STEP)


def draw() -> None:
    """The invisible ruler; once on each page. A width other than the last one redraws the page."""
    component = st.components.v2.component(
        "fluoroscope_ruler", html='<div class="ruler"></div>', js=_JS
    )
    component(key=_KEY, data={"width": width(), "step": _STEP}, on_width_change=lambda: None)
