"""The answer on the way: what each block of a Transformer would say if it were the last."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.errors import FluoroscopeError, NotValid
from core.results import Architecture, LogitLens
from dashboard import cached, downloads, state, waiting
from dashboard.explaining.kinds import of
from dashboard.figures.lens import lens_map
from dashboard.theme import is_dark

_CAVEAT = (
    "The lens hands each block's output on as if it were that of the last one. Early blocks may "
    "use another basis: nonsense there does not mean that nothing is known yet (Belrose et al. "
    "2023, arXiv 2303.08112)."
)


def fits(now: state.Selection) -> bool:
    """Whether the network may be a stack of blocks: those without attention are not."""
    handle = cached.handle(Call("describe", cached.model_ref(now.model)))
    if handle.state != "done":
        return False
    architecture: Architecture = handle.result()
    return any("attention" in each.kind.lower() for each in architecture.layers)


def draw(now: state.Selection) -> None:
    """The map of blocks and positions."""
    of(now).text(now)
    try:
        what = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    call = Call("logit_lens", cached.model_ref(now.model), (what,), {"top": 5}, urgent=True)
    handle = cached.handle(call)
    under_way = waiting.under_way({"Answer on the way": handle})
    if isinstance(handle.error, NotValid):
        st.info(state.plain(str(handle.error)))
        return
    if under_way or waiting.failed("Answer on the way", handle):
        waiting.watch(under_way)
        return
    found: LogitLens = handle.result()[0]
    settled = next(
        (name for name, rank in zip(found.layers, found.rank, strict=True) if not rank.any()), ""
    )
    if settled:
        st.markdown(f"From **{state.plain(settled)}** on, the likeliest answer is the model's own.")
    figure = lens_map(found, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="lens")
    st.caption(_CAVEAT)
    downloads.button(figure, [found], f"{found.example}.lens"[:80])
