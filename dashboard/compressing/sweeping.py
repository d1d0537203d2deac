"""The trade-off: the same method with more and more of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.compression.methods import method
from core.data.kept import asked
from core.engine.call import Call
from core.models.reference import ModelRef
from core.results import Sweep
from core.results.sweeping import finding, rows
from dashboard import cached, downloads, state, waiting
from dashboard.figures.tradeoff import tradeoff
from dashboard.theme import is_dark

VALUES = {
    "amount": tuple(each / 10 for each in range(1, 10)),
    "energy": (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99),
}


def draw(now: state.Selection, model: ModelRef, steps: Sequence[Mapping[str, Any]]) -> None:
    """Asked for by a click, since it compresses the model several times: ``steps`` with more and
    more of the last of them that can be more or less.
    """
    ways = [method(str(step["method"])) for step in steps]
    setting = next((way.sweeps for way in reversed(ways) if way.sweeps), "")
    if not setting:
        named = " and ".join(way.title for way in ways)
        has = "has" if len(ways) == 1 else "have"
        st.info(
            f"{named} {has} nothing to sweep: choose pruning, channels, heads or low rank above."
        )
        return
    values = VALUES[setting]
    call = Call(
        "compression_sweep",
        model,
        (),
        {
            **asked(cached.place(), now.data),
            "steps": list(steps),
            "setting": setting,
            "values": list(values),
        },
    )
    if cached.under_way(call):
        state.asked().add(call.key)
    if call.key not in state.asked() and not cached.stored(call):
        st.markdown(
            f"Compresses the model with {len(values)} values of {setting} and looks at "
            "accuracy, size and reasons of each. It goes on when this page is left or loaded again."
        )
        if state.pressed(f"Sweep {setting}", f"sweep:{call.key}", type="primary"):
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
