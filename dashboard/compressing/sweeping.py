"""The trade-off: the same method with more and more of it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.compression.methods import CompressionMethod, settled
from core.data.kept import asked
from core.engine.call import Call
from core.models.reference import ModelRef
from core.parameters import Value
from core.results import Sweep
from core.results.sweeping import finding, rows
from dashboard import cached, downloads, state, waiting
from dashboard.figures.tradeoff import tradeoff
from dashboard.theme import is_dark

VALUES = {
    "amount": tuple(each / 10 for each in range(1, 10)),
    "energy": (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99),
}


def draw(
    now: state.Selection, model: ModelRef, way: CompressionMethod, settings: dict[str, Value]
) -> None:
    """Asked for by a click, since it compresses the model several times."""
    if not way.sweeps:
        st.info(
            f"{way.title} has nothing to sweep: choose pruning, channels, heads or low rank above."
        )
        return
    values = VALUES[way.sweeps]
    steps = list(settled([{"method": way.name, **settings}]))
    call = Call(
        "compression_sweep",
        model,
        (),
        {
            **asked(cached.place(), now.data),
            "steps": steps,
            "setting": way.sweeps,
            "values": list(values),
        },
    )
    if cached.under_way(call):
        state.asked().add(call.key)
    if call.key not in state.asked() and not cached.stored(call):
        st.markdown(
            f"Compresses the model with {len(values)} values of {way.sweeps} and looks at "
            "accuracy, size and reasons of each. It goes on when this page is left or loaded again."
        )
        if state.pressed(f"Sweep {way.sweeps}", f"sweep:{call.key}", type="primary"):
            state.asked().add(call.key)
            st.rerun()
        return
    handle = cached.handle(call)
    under_way = waiting.under_way({"Sweep": handle})
    if under_way or waiting.failed("Sweep", handle):
        waiting.watch(under_way)
        return
    found: Sweep = handle.result()
    st.markdown(finding(found))
    figure = tradeoff(found, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="tradeoff")
    downloads.button(figure, [found], f"{now.model}.sweep"[:80])
    notes = sorted({note for note in found.notes if note})
    if notes:
        st.caption(" ".join(map(state.plain, notes)))
    with st.expander("All values as a table"):
        st.dataframe(pd.DataFrame(rows(found)), hide_index=True)
