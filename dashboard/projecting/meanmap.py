"""What the model goes by in the examples that were picked: the mean of their attributions."""

from __future__ import annotations

import streamlit as st

from core.attribution.mean import mean_map, mean_words
from core.attribution.registry import method
from core.data.dataset import Dataset
from core.data.subset import Subset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Attribution
from dashboard import cached, downloads, state, waiting
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.picked import word_bars
from dashboard.theme import is_dark

_METHOD = "input_x_gradient"
_MOST = 32
_OWN = "each one's own answer"


def draw(chosen: state.Selection, data: Dataset, picked: Subset) -> None:
    """A button, then the mean over at most 32 of them, evenly spread."""
    axis = cached.model_card(chosen.model).task.axis
    key = f"common:{picked.key}:{chosen.model}"
    if state.pressed("What does it go by in these?", f"ask:{picked.key}"):
        state.asked().add(key)
    if key not in state.asked():
        return
    rows = picked.rows[:: -(-len(picked.rows) // _MOST)]
    asked = method(_METHOD, axis)
    call = Call(
        "attribute",
        cached.model_ref(chosen.model),
        data.examples(rows),
        {"method": asked.name, "target": "top", "settings": {}},
    )
    handle = cached.handle(call)
    under_way = waiting.under_way({asked.title: handle})
    if waiting.failed(asked.title, handle) or under_way:
        waiting.watch(under_way)
        return
    found: tuple[Attribution, ...] = handle.result()
    dark = is_dark(st.context.theme.type)
    if axis != "pixels":
        figure = word_bars(
            mean_words(found), what="Columns" if axis == "columns" else "Words", dark=dark
        )
    else:
        try:
            figure = attribution_maps([mean_map(found, _OWN)], dark=dark, width=300, columns=2)
        except FluoroscopeError as error:
            st.info(state.plain(str(error)))
            return
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="common")
    st.caption(f"{asked.title}, mean of {len(found)} examples, towards {_OWN}.")
