"""How wide the page is, as the browser measures it: figures of many panels are laid out for it."""

from __future__ import annotations

import streamlit as st

from dashboard import state

# Until the browser has told: what a window of 1440 pixels leaves beside the sidebar.
USUAL = 1040
_STEP = 40
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
    return state.reported(_KEY, "width", USUAL)


def draw() -> None:
    """The invisible ruler; once on each page. A width other than the last one redraws the page."""
    component = st.components.v2.component(
        "fluoroscope_ruler", html='<div class="ruler"></div>', js=_JS
    )
    component(key=_KEY, data={"width": width(), "step": _STEP}, on_width_change=lambda: None)
