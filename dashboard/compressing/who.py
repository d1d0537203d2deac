"""Who pays for a smaller model: slices before and after, classes, and how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.results import Drift
from dashboard import downloads, ruler, state
from dashboard.figures.tradeoff import harms
from dashboard.theme import is_dark

_MOST = 10  # classes in sight


def draw(now: state.Selection, drift: Drift) -> None:
    """The worst hit first; F1 of each class and calibration beside it."""
    if not drift.slices:
        st.info("These data have no labels, so nobody can say who is answered less well.")
        return
    wide = ruler.width() >= 840
    left, right = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    with left:
        figure = harms(drift, dark=is_dark(st.context.theme.type))
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="harms")
        downloads.button(figure, [drift], f"{now.model}.slices"[:80])
    with right:
        st.markdown("**F1 of each class**, the most changed first")
        change = drift.f1[:, 1] - drift.f1[:, 0]
        order = np.argsort(np.nan_to_num(change, nan=np.inf), kind="stable")
        rows = [
            {
                "Class": drift.classes[place],
                "Before": drift.f1[place, 0],
                "After": drift.f1[place, 1],
                "Change": change[place],
            }
            for place in order
        ]
        number = st.column_config.NumberColumn(format="%.3f")
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            height=388 if len(rows) > _MOST else "auto",
            column_config={"Before": number, "After": number, "Change": number},
        )
        st.caption(
            f"Calibration error {drift.ece[0]:.3f} before, {drift.ece[1]:.3f} after: how far "
            "confidence lies from the share that is right."
        )
    st.caption(
        "Intervals of 95 % for paired examples (Bonett and Price 2012). Small groups have long "
        "ones, and about one slice in twenty lies beside the line by chance."
    )
    with st.expander("All slices as a table"):
        st.dataframe(pd.DataFrame(_rows(drift)), hide_index=True)


def _rows(drift: Drift) -> list[dict[str, object]]:
    return [
        {
            "Column": each.column,
            "Value": each.value,
            "Examples": each.examples,
            "Right before": "{:.1%} ({:.1%}–{:.1%})".format(*each.before),
            "Right after": "{:.1%} ({:.1%}–{:.1%})".format(*each.after),
            "Change": "{:+.1%} ({:+.1%} to {:+.1%})".format(*each.change),
            "Lost": each.lost,
            "Gained": each.gained,
            "McNemar's p": f"{each.p:.3g}",
        }
        for each in drift.slices
    ]
