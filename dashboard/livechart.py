"""Figures that change every second: drawn anew within the element that is there.

``st.plotly_chart`` takes a figure with other numbers for another element, removes the old one and
builds the new one, which is seen as flicker. This component keeps the element and lets Plotly
update it, so that zoom and hover stay too. Plotly is the one that Streamlit brings to the page; it
comes with the first ordinary chart, hence the empty one of ``prepare``.
"""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from dashboard import downloads

_CSS = """
.live-chart { width: 100%; overflow: hidden; }
"""

_JS = """
export default function ({ data, parentElement }) {
  const chart = parentElement.querySelector('.live-chart');
  chart.style.height = data.height + 'px';  // at once, so that nothing moves later
  chart.setAttribute('aria-label', data.title);
  chart.figure = data.figure;
  const draw = () => {
    if (!window.Plotly || !chart.isConnected || !chart.figure) return false;
    const { data: traces, layout } = JSON.parse(chart.figure);
    chart.figure = null;
    window.Plotly.react(chart, traces, { ...layout, autosize: true }, data.config);
    return true;
  };
  if (!draw()) {
    const wait = setInterval(() => { if (draw() || !chart.figure) clearInterval(wait); }, 50);
  }
  if (!chart.observer) {
    chart.observer = new ResizeObserver(() => {
      if (chart.data && chart.offsetWidth) window.Plotly.Plots.resize(chart);
    });
    chart.observer.observe(chart);
  }
}
"""


def prepare() -> None:
    """Have Plotly at hand; once on a page with live charts, before the first of them."""
    with st.container(key="livechart-plotly"):
        st.plotly_chart(go.Figure(layout={"height": 10}), theme=None, key="livechart-plotly-chart")


def draw(figure: go.Figure, key: str) -> None:
    """``figure`` in its place; the same ``key`` keeps the element."""
    component = st.components.v2.component(
        "fluoroscope_live_chart",
        html='<div class="live-chart" role="figure"></div>',
        css=_CSS,
        js=_JS,
        isolate_styles=False,  # Plotly's own styles are those of the whole page
    )
    height = int(figure.layout.height or 450)
    component(
        key=key,
        data={
            "figure": figure.to_json(validate=False),
            "config": downloads.CHART,
            "height": height,
            "title": figure.layout.title.text or "",
        },
        height=height,
    )
