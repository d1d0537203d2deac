"""The Attribution page for images: maps beside the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import streamlit as st

from core.attribution.registry import methods
from core.parameters import Value
from core.results import Attribution, Prediction
from dashboard import cached, downloads, ruler, state
from dashboard.explaining.answer import classes
from dashboard.export import document
from dashboard.figures.attribution import attribution_maps
from dashboard.theme import is_dark

# The first three of these that fit are shown on the first visit.
FIRST = ("integrated_gradients", "deeplift", "occlusion", "grad_cam")
TARGETS = {
    "top": "Predicted class",
    "top3": "The three most likely",
    "top vs second": "Most likely against second",
}
_METHODS = methods("pixels")
_SIGNS = {"both": "For and against", "positive": "For only", "negative": "Against only"}
_VIEWS = {"overlay": "Over the picture", "map": "Map alone"}


def text(chosen: state.Selection) -> None:
    """Nothing to type for a picture."""


def answer(prediction: Prediction, chosen: state.Selection) -> None:
    """What the model says."""
    classes(prediction, chosen.target)


def view(chosen: state.Selection) -> None:
    """How maps are drawn."""
    st.segmented_control(
        "Picture", _VIEWS, format_func=_VIEWS.get, **state.bind("view", chosen.view)
    )
    st.segmented_control("Sign", _SIGNS, format_func=_SIGNS.get, **state.bind("sign", chosen.sign))
    st.slider("Opacity (%)", 0, 100, step=5, **state.bind("opacity", chosen.opacity))


def draw(
    chosen: state.Selection,
    shown: Sequence[Attribution | None],
    waited: Sequence[str],
    asking: Sequence[str],
    prediction: Prediction,
) -> None:
    """Maps of what is there, places for what is not."""
    results = [each for each in shown if each is not None]
    figure = attribution_maps(
        shown,
        picture=prediction.picture,
        pending=waited,
        asking=asking,
        mode=chosen.view,
        sign=chosen.sign,
        opacity=chosen.opacity / 100,
        shared_scale=chosen.scale == "shared",
        dark=is_dark(st.context.theme.type),
        width=ruler.width(),
        titles={method.name: method.title for method in _METHODS},
        unsigned=[method.name for method in _METHODS if not method.signed],
        units={method.name: method.unit for method in _METHODS},
    )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="maps")
    if results:
        names = "-".join(dict.fromkeys(result.method for result in results))
        downloads.button(
            figure,
            results,
            f"{PurePath(prediction.example).stem}.{names}"[:80],
            document(results, prediction),
        )


def needs_image(settings: Mapping[str, Value]) -> bool:
    """Whether another picture is the baseline."""
    return settings.get("baseline") == "image"


def baseline_image(chosen: state.Selection, wanted: Sequence[Mapping[str, Value]]) -> None:
    """The choice of that picture, where a method needs one."""
    if any(needs_image(settings) for settings in wanted):
        named = other_image(chosen)
        options = list(dict.fromkeys([item.name for item in cached.items(chosen.model)] + [named]))
        st.selectbox("Baseline image", options, **state.bind("baseline", named))


def other_image(chosen: state.Selection) -> str:
    """The picture that stands for 'nothing there': the chosen one, else another example."""
    others = [item.name for item in cached.items(chosen.model) if item.name != chosen.example]
    return chosen.baseline or next(iter(others), chosen.example)
