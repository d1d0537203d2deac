"""The Export popover that stands beside every figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard import renderer
from dashboard.export import FORMATS, MIME, export

# What plotly's own tool bar shows: nothing that Export does better.
CHART = {"displaylogo": False, "displayModeBar": False, "responsive": True}
_MEANING = {
    "png": "PNG · picture",
    "svg": "SVG · vector",
    "pdf": "PDF · vector, for papers",
    "html": "HTML · interactive, self-contained",
    "json": "JSON · numbers and provenance",
    "plotly.json": "Plotly JSON · the figure",
    "npz": "NPZ · arrays for NumPy",
}

_MEANING_OF_TEXTS = {
    "html": "HTML · for the web",
    "svg": "SVG · vector",
    "pdf": "PDF · vector, for papers",
    "tex": "LaTeX · to be put into a document",
}


def button(
    figure: go.Figure, results: Sequence[Any], name: str, document: dict[str, Any] | None = None
) -> None:
    """Export ``figure`` and the ``results`` behind it as ``name.<format>``; nothing is rendered
    before the click.
    """
    several({name: figure}, results, name, document)


def texts(
    rows: Sequence[Mapping[str, Any]],
    legends: Sequence[Mapping[str, str]],
    name: str,
    document: Mapping[str, Any],
    dark: bool,
) -> None:
    """Export coloured texts as ``name.<format>``."""
    from dashboard import textexport

    with st.popover("Export the text", type="tertiary", icon=":material/download:"):
        chosen = st.selectbox(
            "Format",
            textexport.FORMATS,
            format_func=lambda format_: _MEANING_OF_TEXTS[format_],
            key=f"text-format:{name}",
        )
        if chosen in renderer.FORMATS and renderer.browser() is None:
            st.warning(str(renderer.no_browser(chosen)))
            return
        st.download_button(
            f"Download {chosen.upper()}",
            data=lambda: textexport.export(rows, legends, chosen, document=document, dark=dark),
            file_name=f"{name}.text.{chosen}",
            mime=MIME.get(chosen, "application/x-tex"),
            on_click="ignore",
            key=f"text-download:{name}:{chosen}",
            type="primary",
        )


def several(
    figures: Mapping[str, go.Figure],
    results: Sequence[Any],
    name: str,
    document: dict[str, Any] | None = None,
) -> None:
    """The same for a page of ``figures`` by their titles, of which a person chooses one."""
    with st.popover("Export", type="tertiary", icon=":material/download:"):
        title = next(iter(figures))
        if len(figures) > 1:
            title = st.selectbox("Figure", list(figures), key=f"figure:{name}") or title
        chosen = st.selectbox(
            "Format",
            FORMATS,
            format_func=lambda format_: _MEANING.get(format_, format_.upper()),
            key=f"format:{name}",
        )
        if chosen in renderer.FORMATS and renderer.browser() is None:
            st.warning(str(renderer.no_browser(chosen)))
            return
        words = re.sub(r"[^\w.-]+", "-", title).strip("-").lower()
        stem = name if len(figures) == 1 else f"{name}.{words}"
        st.download_button(
            f"Download {chosen.upper()}",
            data=lambda: export(figures[title], results, chosen, document=document),
            file_name=f"{stem}.{chosen}",
            mime=MIME[chosen],
            on_click="ignore",
            key=f"download:{name}:{chosen}",
            type="primary",
        )
