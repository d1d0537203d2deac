"""What compression does to answers and reasons, with the examples that show it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.results import Costs, Drift
from core.tasks import Task
from dashboard import cached, downloads, gallery, ruler, state
from dashboard.figures.compression import reasons, savings
from dashboard.figures.depth import layer_strip
from dashboard.figures.prediction import percent
from dashboard.theme import is_dark
from dashboard.wording import words

_MOST = 12
NOTHING_KEPT = "No answer stayed, so there are no reasons to compare."


def first(costs: Costs, drift: Drift | None) -> None:
    """The numbers that people ask for first."""
    numbers: list[tuple[str, str, str | None, str]] = [
        (
            "Size",
            f"{costs.small.bytes / costs.original.bytes:.2f} ×",
            None,
            f"{costs.small.bytes:,} of {costs.original.bytes:,} bytes on disk.",
        ),
        (
            "Speed",
            f"{costs.speedup:.2f} ×",
            None,
            "One example at a time, both models in turns; above 1 is faster.",
        ),
    ]
    if drift is not None:
        if np.isfinite(drift.accuracy[0]):
            change = 100 * float(drift.accuracy[1] - drift.accuracy[0])
            numbers.append(
                (
                    "Accuracy",
                    f"{drift.accuracy[1]:.1%}",
                    f"{change:+.1f} points" if round(change, 1) else None,
                    f"{drift.accuracy[0]:.1%} before.",
                )
            )
        numbers.append(("New answer", percent(1 - drift.agreement), None, "Right or wrong before."))
        if len(drift.spearman):
            numbers.append(
                (
                    "Reasons alike",
                    f"{np.median(drift.spearman):.3f}",
                    None,
                    "Median rank correlation of the attributions of examples whose answer stayed; "
                    "1 is the same.",
                )
            )
    for place, (title, value, change_, about) in zip(
        st.columns(max(4, len(numbers))), numbers, strict=False
    ):
        place.metric(title, value, change_, help=about)


def saved(now: state.Selection, costs: Costs) -> None:
    """What is left of the original."""
    figure = savings(costs, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="savings")
    downloads.button(figure, [costs], f"{now.model}.savings"[:80])


def draw(now: state.Selection, data: Dataset, costs: Costs, drift: Drift) -> None:
    """Costs and reasons side by side, layers below, then the examples with another answer."""
    dark = is_dark(st.context.theme.type)
    wide = ruler.width() >= 840
    left, right = st.columns(2, gap="large") if wide else (st.container(), st.container())
    with left:
        saved(now, costs)
    with right:
        if len(drift.kept):
            figure = reasons(drift, dark=dark)
            st.plotly_chart(figure, theme=None, config=downloads.CHART, key="reasons")
            downloads.button(figure, [drift], f"{now.model}.reasons"[:80])
        else:
            st.info(state.plain(drift.note) or NOTHING_KEPT)
    figure = layer_strip(
        drift.layers,
        drift.similarity.tolist(),
        title="Each layer beside itself in the original (CKA, 1 is the same)",
        form=".3f",
        dark=dark,
    )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="layers-alike")
    st.caption(
        f"Over {drift.examples:,} examples of {state.plain(drift.data)}; reasons of "
        f"{len(drift.kept):,} whose answer stayed."
    )
    if len(drift.changed):
        full = rows_of(drift, len(data))
        st.markdown(f"**Another answer** · {len(drift.changed):,}, the surest before first")
        examples(now, data, full[drift.changed][:_MOST], "changed")
    with st.expander("All measurements"):
        st.dataframe(pd.DataFrame(_measurements(costs)), hide_index=True)


def _measurements(costs: Costs) -> list[dict[str, str]]:
    def line(name: str, form: str, *values: float) -> dict[str, str]:
        one, two = values
        times = f"{two / one:.2f} ×" if one else ""
        return {"": name, "Original": format(one, form), "Compressed": format(two, form),
                "Compressed / original": times}  # fmt: skip

    one, two = costs.original, costs.small
    return [
        line("Bytes on disk", ",.0f", one.bytes, two.bytes),
        line("Weights", ",.0f", one.parameters, two.parameters),
        line("Weights that are not zero", ",.0f", one.nonzero, two.nonzero),
        line("Multiply-adds of one example", ",.0f", one.multiply_adds, two.multiply_adds),
        line("Latency of one example, median, ms", ",.3f", 1e3 * one.median, 1e3 * two.median),
        line("Latency that 95 of 100 keep, ms", ",.3f", 1e3 * one.p95, 1e3 * two.p95),
        *(
            line(
                f"Latency of {one.batch} examples, {title}, ms",
                ",.3f",
                *(1e3 * float(np.percentile(each.batched, share)) for each in (one, two)),
            )
            for title, share in (("median", 50), ("95 of 100", 95))
        ),
        line("Examples a second, in such batches", ",.0f", one.throughput, two.throughput),
    ]


def rows_of(drift: Drift, count: int) -> npt.NDArray[np.int64]:
    """The row in all data of each example, of which some were taken evenly spread."""
    return np.arange(drift.examples, dtype=np.int64) * count // drift.examples


def examples(
    now: state.Selection,
    data: Dataset,
    rows: npt.NDArray[np.int64],
    key: str,
    values: npt.NDArray[np.float64] | None = None,
    chosen: str = "",
) -> None:
    """Examples to choose from, each with its value where there are any; ``chosen`` stands out."""

    def pick(name: str) -> None:
        state.change(example=name, target="top")

    labels = [""] * len(rows) if values is None else [f"{value:.2f} · " for value in values]
    names = [cached.row_name(now.model, int(row)) for row in rows]
    if cached.model_card(now.model).task is Task.IMAGE_CLASSIFICATION:
        items = [
            gallery.Thumbnail(name, f"{label}{data.ids[int(row)]}", cached.thumbnail(name))
            for name, label, row in zip(names, labels, rows, strict=True)
        ]
        gallery.strip(items, chosen or now.example, pick, key=f"drift-{key}")
        return
    for name, label, row in list(zip(names, labels, rows, strict=True))[: _MOST // 2]:
        line = words(data[int(row)].data, cached.model_card(now.model).task.axis)
        if state.pressed(f"{label}{state.plain(line)}", f"drift:{key}:{row}", type="tertiary"):
            pick(name)
            st.rerun()
