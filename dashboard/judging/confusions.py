"""What is taken for what; a click on a cell shows its examples."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data import subset as subsets
from core.data.dataset import Dataset
from core.data.subset import Subset
from core.errors import FluoroscopeError
from core.results import Evaluation
from core.results.activations import Capture
from dashboard import cached, downloads, ruler, state
from dashboard.figures.evaluation import most_confused
from dashboard.figures.outcomes import confusion
from dashboard.judging import nearest
from dashboard.projecting import chosen
from dashboard.theme import is_dark


def draw(
    now: state.Selection,
    data: Dataset,
    capture: Capture,
    found: Evaluation,
    picked: Subset | None,
) -> None:
    """The table of confusions and, beside it, the examples in hand."""
    shown = most_confused(found)
    names = [found.classes[each] for each in shown]
    table = found.confusion[np.ix_(shown, shown)].astype(np.float64)
    figure = confusion(
        table, names, title="What is taken for what", dark=is_dark(st.context.theme.type)
    )

    def clicked() -> None:
        if points := state.read("confusion").selection.points:
            true, said = points[0]["customdata"][:2]
            _pick(data, capture, shown[int(true)], shown[int(said)])

    wide = ruler.width() >= 840
    left, right = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    with left:
        st.plotly_chart(
            figure,
            theme=None,
            config=downloads.CHART,
            key="confusion",
            on_select=clicked,
            selection_mode="points",
        )
        absent = len(found.classes) - len(shown)
        more = (
            f" {absent:,} classes without a mistake or an example are left out." if absent else ""
        )
        st.caption(f"Click a cell to see its examples.{more}")
        downloads.button(figure, [found], f"{now.model}.confusion"[:80])
        if picked is not None:
            chosen.table(now, data, capture, picked)
            nearest.draw(now, capture, picked)
    with right:
        if picked is None:
            _worst(data, capture, found)
        else:
            chosen.draw(now, data, capture, picked)


def _worst(data: Dataset, capture: Capture, found: Evaluation) -> None:
    """The most frequent mistakes, and the surest ones, each a click away."""
    off = found.confusion - np.diag(np.diag(found.confusion))
    order = np.argsort(-off, axis=None, kind="stable")[:6]
    pairs = [divmod(int(each), len(off)) for each in order]
    pairs = [(true, said) for true, said in pairs if off[true, said]]
    if not pairs:
        st.success("No example was answered wrongly.")
        return
    st.markdown("**Most frequent mistakes**")
    for true, said in pairs:
        names = (state.plain(found.classes[true]), state.plain(found.classes[said]))
        label = f"{names[0]} taken for {names[1]} · {off[true, said]:,}×"
        if state.pressed(label, f"cell:{true}:{said}", type="tertiary"):
            _pick(data, capture, true, said)
            st.rerun()
    count = len(found.wrong)
    title = f"The {count:,} mistakes, the surest first" if count > 1 else "The one mistake"
    if state.pressed(title, "mistakes"):
        _keep(data, capture.data_rows[found.wrong])
        st.rerun()


def _pick(data: Dataset, capture: Capture, true: int, said: int) -> None:
    labels = np.asarray(capture.labels)
    rows = capture.data_rows[(labels == true) & (capture.predictions == said)]
    if len(rows):
        _keep(data, rows)


def _keep(data: Dataset, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    try:
        state.change(subset=subsets.keep(cached.place(), subsets.picked(data, rows)))
    except FluoroscopeError as error:
        state.tell(str(error))
