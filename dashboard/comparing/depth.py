"""Which layers of two models hold the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.engine.call import Call
from core.results import CrossSimilarity
from core.results.activations import Capture
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.comparing.others import Other
from dashboard.figures.depth import layer_strip
from dashboard.figures.probes import similarity_map
from dashboard.theme import is_dark


def draw(now: state.Selection, other: Other, ours: Capture, theirs: Capture) -> None:
    """Linear CKA of every layer with every layer; of layers of the same name also as bars."""
    asked = {"capture": str(ours.folder), "other": str(theirs.folder)}
    handle = cached.handle(Call("compare_layers", cached.model_ref(now.model), (), asked))
    under_way = waiting.under_way({"Layers": handle})
    if under_way or waiting.failed("Layers", handle):
        waiting.watch(under_way)
        return
    found: CrossSimilarity = handle.result()
    dark = is_dark(st.context.theme.type)
    figure = similarity_map(
        found.similarity, found.rows, found.columns, titles=other.titles, width=520, dark=dark
    )
    wide = ruler.width() >= 840
    left, right = st.columns([5, 4], gap="large") if wide else (st.container(), st.container())
    with left:
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="cka", width="content")
        downloads.button(figure, [found], f"{now.model}.layers"[:80])
    same = [name for name in found.rows if name in found.columns]
    with right:
        if len(same) > 1:
            values = [found.similarity[found.rows.index(n), found.columns.index(n)] for n in same]
            bars = layer_strip(
                same,
                [float(each) for each in values],
                title="Each layer beside the one of its name",
                form=".3f",
                dark=dark,
            )
            st.plotly_chart(bars, theme=None, config=downloads.CHART, key="cka-same")
        else:
            _nearest(found)
    st.caption(
        f"Linear CKA over {found.examples:,} examples (Kornblith et al. 2019): 1 where two layers "
        "hold the same up to a rotation and a scale, 0 where they have nothing in common."
    )


def _nearest(found: CrossSimilarity) -> None:
    """For each layer of the first model the one of the second that is most like it."""
    known = np.nan_to_num(found.similarity, nan=-1.0)
    best = known.argmax(axis=1)
    st.markdown("**The layer of the second that is most alike**")
    st.dataframe(
        pd.DataFrame(
            {
                "First": found.rows,
                "Second": [found.columns[each] for each in best],
                "CKA": known.max(axis=1),
            }
        ),
        hide_index=True,
        height=min(440, 38 + 35 * len(found.rows)),
        column_config={"CKA": st.column_config.NumberColumn(format="%.2f")},
    )
