"""Which of two models is better, measure by measure and class by class, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.results import Comparison
from dashboard import downloads, ruler, state
from dashboard.comparing.others import Other
from dashboard.figures.comparison import class_differences, measure_differences, spelt
from dashboard.figures.prediction import percent
from dashboard.theme import is_dark


def first(found: Comparison) -> None:
    """The numbers that people ask for first."""
    low, high = found.agreement[1:]
    numbers: list[tuple[str, str, str, str]] = [
        (
            "Agree",
            percent(float(found.agreement[0])),
            f"from {percent(float(low))} to {percent(float(high))}",
            "The share of the examples to which both answer the same, right or wrong; with "
            "Wilson's 95 % interval.",
        ),
        (
            "Kappa",
            _number(found.kappa[0], ".3f"),
            f"from {_number(found.kappa[1], '.3f')} to {_number(found.kappa[2], '.3f')}",
            "Cohen's kappa: agreement beyond that of chance; 1 is all, 0 none.",
        ),
        (
            "Apart",
            f"{found.apart:.3f} bits",
            "mean of the examples",
            "Jensen-Shannon divergence of the probabilities: 0 is the same, 1 nothing in common.",
        ),
    ]
    accuracy = next((each for each in found.measures if each.first.name == "accuracy"), None)
    if accuracy is not None:
        value, low, high = 100 * accuracy.difference
        numbers.insert(
            0,
            (
                "Accuracy",
                f"{value:+.1f} pp" if value else "± 0 pp",
                f"from {low:+.1f} to {high:+.1f}",
                f"In percentage points. The first is right on {accuracy.first.value:.1%}, "
                f"the second on {accuracy.second.value:.1%}; the interval is of the same draws "
                "for both.",
            ),
        )
    if found.test is not None:
        numbers.append(
            (
                "McNemar",
                f"p {_p(found.test.p)}",
                f"{found.test.first:,} against {found.test.second:,}",
                "The exact test of whether both are equally accurate: only the first is right "
                f"on {found.test.first:,} examples, only the second on {found.test.second:,}. "
                "A small p says that one is better.",
            )
        )
    for place, (title, value_, interval, about) in zip(
        st.columns(max(4, len(numbers))), numbers, strict=False
    ):
        place.metric(title, value_, help=about)
        place.caption(interval)


def draw(now: state.Selection, other: Other, found: Comparison) -> None:
    """Differences of all measures, F1 of all classes, then the numbers."""
    if not found.measures:
        st.info("No example has a label that both models know: nobody is right or wrong.")
        return
    dark = is_dark(st.context.theme.type)
    wide = ruler.width() >= 840
    left, right = st.columns(2, gap="large") if wide else (st.container(), st.container())
    with left:
        figure = measure_differences(found, other.titles, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="gains")
        st.caption("Filled where the 95 % interval has no zero in it.")
        downloads.button(figure, [found], f"{now.model}.differences"[:80])
    with right:
        figure = class_differences(found, other.titles, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="classes")
        downloads.button(figure, [found], f"{now.model}.classes"[:80])
    test = found.test
    if test is not None:
        st.markdown(
            f"Both are right on **{test.both:,}**, only the first on **{test.first:,}**, only the "
            f"second on **{test.second:,}**, neither on **{test.neither:,}**. McNemar's exact "
            f"test: p {_p(test.p)}."
        )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Measure": each.first.title,
                    "First": spelt(each.first.name, each.first.value),
                    "Second": spelt(each.first.name, each.second.value),
                    "First less second": f"{each.difference[0]:+.4f}",
                    "95 % interval": f"{each.difference[1]:+.4f} to {each.difference[2]:+.4f}",
                    "Good is": each.first.good,
                }
                for each in found.measures
            ]
        ),
        hide_index=True,
        height=35 * len(found.measures) + 38,
    )


def _number(value: float, form: str) -> str:
    return format(float(value), form) if np.isfinite(value) else "–"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 1 else "1"
