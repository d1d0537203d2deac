"""Groups: is the model as good for some as for others?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.data import subset as subsets
from core.data.subset import Subset
from core.engine.call import Call
from core.evaluation.columns import PICKED, columns
from core.results import Evaluation, Groups
from core.results.activations import Capture
from dashboard import cached, downloads, state, waiting
from dashboard.figures.evaluation import RATES, group_rates
from dashboard.judging.ranking import positive
from dashboard.theme import is_dark

_TITLES = {"class": "True class", PICKED: "The picked and the rest"}


def draw(now: state.Selection, capture: Capture, found: Evaluation, picked: Subset | None) -> None:
    """A rate by the groups of a column, with intervals, and how far they lie apart."""
    titles = dict(_TITLES)
    selections = {} if picked is None else {PICKED: picked}
    for key, each in subsets.named(cached.place(), capture.data.fingerprint).items():
        selections[f"{PICKED}:{key}"] = each
        titles[f"{PICKED}:{key}"] = f"{each.title} and the rest"
    splits = [*columns(capture), *selections]
    split = now.split if now.split in splits else splits[0]
    rate = now.rate if now.rate in RATES else "right"
    known = [int(each) for each in np.flatnonzero(found.support)]
    label = found.classes[positive(now, found, known)]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        st.selectbox(
            "By",
            splits,
            format_func=lambda each: titles.get(each, each),
            width=220,
            **state.bind("split", split),
        )
        st.selectbox("Rate", list(RATES), format_func=RATES.get, width=260,
                     **state.bind("rate", rate))  # fmt: skip
        if rate != "right":
            st.selectbox(
                "Positive class",
                [found.classes[each] for each in known],
                width=220,
                **state.bind("positive", label),
            )
    parameters: dict[str, Any] = {"capture": str(capture.folder), "by": split, "positive": label}
    if split in selections:
        place = {int(row): index for index, row in enumerate(capture.data_rows)}
        rows = [place[row] for row in selections[split].rows if row in place]
        parameters |= {"by": PICKED, "rows": rows}
    handle = cached.handle(Call("evaluate_groups", cached.model_ref(now.model), (), parameters))
    under_way = waiting.under_way({"Groups": handle})
    if under_way or waiting.failed("Groups", handle):
        waiting.watch(under_way)
        return
    groups: Groups = handle.result()
    figure = group_rates(groups, rate, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="groups")
    gap = groups.gaps[rate]
    if np.isfinite(gap):
        st.caption(
            f"Largest and smallest differ by {100 * gap:.1f} points. Where intervals overlap "
            "widely that may be chance; small groups have long ones."
        )
    downloads.button(figure, [groups], f"{now.model}.groups"[:80])
    with st.expander("All rates as a table"):
        st.dataframe(pd.DataFrame(_rows(groups)), hide_index=True)


def _rows(groups: Groups) -> list[dict[str, object]]:
    return [
        {
            "Group": each.name,
            "Examples": each.examples,
            "F1": "–" if np.isnan(each.f1) else f"{each.f1:.3f}",
        }
        | {
            title: "–" if np.isnan(value[0]) else f"{value[0]:.1%} ({value[1]:.1%}–{value[2]:.1%})"
            for name, title in RATES.items()
            for value in [getattr(each, name)]
        }
        for each in groups.groups
    ]
