"""Where two models agree, and the examples on which they do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.data import subset as subsets
from core.data.dataset import Dataset
from core.data.subset import Subset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Comparison, Prediction
from core.tasks import Task
from dashboard import cached, downloads, pickedrows, ruler, state, waiting
from dashboard.comparing.others import Other
from dashboard.figures.comparison import answers, disagreeing
from dashboard.figures.prediction import probability_bars
from dashboard.theme import is_dark
from dashboard.wording import words

_MOST = 200


def draw(now: state.Selection, data: Dataset, other: Other, found: Comparison) -> None:
    """The table of answers and, beside it, the examples by disagreement."""
    wide = ruler.width() >= 840
    left, right = st.columns([5, 6], gap="large") if wide else (st.container(), st.container())
    with left:
        _matrix(data, other, found, now)
    with right:
        _examples(now, data, other, found, pickedrows.subset(now.subset, now.model))
        in_hand(now, other)


def in_hand(now: state.Selection, other: Other) -> None:
    """What both say of the example in hand."""
    both = predictions(now, other)
    if both is None:
        return
    dark = is_dark(st.context.theme.type)
    st.markdown(f"**The example in hand** · {state.plain(both[0].example)}")
    places = zip(st.columns(2, gap="medium"), both, other.titles, strict=True)
    for key, (place, each, title) in enumerate(places):
        with place:
            st.markdown(f":gray[{state.plain(title)}]")
            figure = probability_bars(each, count=3, dark=dark)
            st.plotly_chart(figure, theme=None, config=downloads.CHART, key=f"says:{key}")


def predictions(now: state.Selection, other: Other) -> tuple[Prediction, Prediction] | None:
    """What both answer to the example in hand; None until it is known, which the page then says."""
    try:
        example = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return None
    refs = (cached.model_ref(now.model), other.ref)
    handles = [cached.handle(Call("predict", ref, (example,), urgent=True)) for ref in refs]
    under_way = waiting.under_way(dict(zip(other.titles, handles, strict=True)))
    failed = [
        waiting.failed(title, handle) for title, handle in zip(other.titles, handles, strict=True)
    ]
    if under_way or any(failed):
        waiting.watch(under_way)
        return None
    return handles[0].result()[0], handles[1].result()[0]


def _matrix(data: Dataset, other: Other, found: Comparison, now: state.Selection) -> None:
    figure = answers(found, other.titles, dark=is_dark(st.context.theme.type))
    shown = disagreeing(found)

    def clicked() -> None:
        if points := state.read("answers").selection.points:
            first, second = (shown[int(each)] for each in points[0]["customdata"][:2])
            rows = found.rows[(found.said[:, 0] == first) & (found.said[:, 1] == second)]
            if len(rows):
                _keep(data, rows)

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="answers",
        on_select=clicked,
        selection_mode="points",
    )
    st.caption("Click a cell to see its examples. Off the diagonal the two disagree.")
    downloads.button(figure, [found], f"{now.model}.answers"[:80])


def _examples(
    now: state.Selection, data: Dataset, other: Other, found: Comparison, picked: Subset | None
) -> None:
    places = np.arange(len(found.rows))
    title = "Most apart first"
    if picked is not None:
        places = places[np.isin(found.rows, picked.rows)]
        title = f"{state.plain(picked.title)}, most apart first"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{title}**")
        if picked is not None and state.pressed("All examples", "all-apart", type="tertiary"):
            state.change(subset="")
            st.rerun()
    places = places[:_MOST]
    rows = found.rows[places].tolist()
    frame: dict[str, object] = {}
    task = cached.model_card(now.model).task
    if task is Task.IMAGE_CLASSIFICATION:
        names = [cached.row_name(now.model, row) for row in rows]
        frame["Picture"] = [cached.thumbnail(name) for name in names]
    else:
        frame["Text" if task.axis == "tokens" else "Row"] = [
            words(data[row].data, task.axis) for row in rows
        ]
    if (found.labels >= 0).any():
        frame["True"] = [
            found.classes[label] if label >= 0 else "–" for label in found.labels[places]
        ]
    for model, title in enumerate(("First", "Second")):
        said = zip(found.said[places, model], found.chances[places, model], strict=True)
        frame[title] = [f"{found.classes[each]} · {chance:.0%}" for each, chance in said]
    frame["Apart"] = found.divergence[places]

    def clicked() -> None:
        if chosen := state.read("apart").selection.rows:
            state.change(example=cached.row_name(now.model, rows[chosen[0]]), target="top")

    st.dataframe(
        pd.DataFrame(frame),
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        key="apart",
        height=220,
        column_config={
            "Picture": st.column_config.ImageColumn(width="small"),
            "Text": st.column_config.TextColumn(width=150),
            "Row": st.column_config.TextColumn(width=150),
            "Apart": st.column_config.NumberColumn(
                format="%.3f",
                help="Jensen-Shannon divergence of the probabilities in bits: 0 is the same, 1 "
                "nothing in common.",
            ),
        },
    )


def _keep(data: Dataset, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    try:
        state.change(subset=subsets.keep(cached.place(), subsets.picked(data, np.sort(rows))))
    except FluoroscopeError as error:
        state.tell(str(error))
