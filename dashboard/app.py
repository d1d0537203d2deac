"""The dashboard: page frame, sidebar and navigation. Started by ``fluoroscope serve``."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_STATIC = Path(__file__).parent / "static"
_VIEWS = Path(__file__).parent / "views"


def main() -> None:
    """Draw the frame, then the chosen page."""
    st.set_page_config(
        page_title="Fluoroscope",
        page_icon=str(_STATIC / "favicon.png"),
        layout="wide",
        initial_sidebar_state="expanded",
    )
    st.html(_STATIC / "page.css")
    st.logo(str(_STATIC / "logo.svg"), icon_image=str(_STATIC / "icon.svg"), size="large")
    page = st.navigation(
        {
            "Learn": [
                st.Page(_VIEWS / "overview.py", title="Overview"),
                st.Page(_VIEWS / "training.py", title="Training"),
                st.Page(_VIEWS / "models.py", title="Your model"),
                st.Page(_VIEWS / "workspace.py", title="Workspace"),
            ],
            "Explain": [
                st.Page(_VIEWS / "attribution.py", title="Attribution", default=True),
                st.Page(_VIEWS / "attention.py", title="Attention"),
                st.Page(_VIEWS / "layers.py", title="Layers"),
                st.Page(_VIEWS / "projection.py", title="Projection"),
            ],
            "Judge": [
                st.Page(_VIEWS / "evaluation.py", title="Evaluation"),
                st.Page(_VIEWS / "importance.py", title="Importance"),
                st.Page(_VIEWS / "compression.py", title="Compression"),
                st.Page(_VIEWS / "compare.py", title="Compare"),
            ],
        }
    )
    st.title(page.title)  # at once: what follows has much to import
    from dashboard import cached, jobstrip, ruler, sidebar, state
    from dashboard.bringing import arriving
    from dashboard.keeping import limits

    if not limits.sound():
        return
    cached.engine()  # starts and warms up the worker while the page draws
    if opened := arriving.is_opened(state.selection().model):
        sidebar.draw()
        state.addressed()
    with st.sidebar:
        jobstrip.draw()
    if opened:
        page.run()
    cached.let_go()
    ruler.draw()
    state.addressed()


main()
