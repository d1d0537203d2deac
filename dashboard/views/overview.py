"""Overview: what the model in hand is, layer by layer, and how good it is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core.attribution.registry import methods
from core.engine.call import Call
from core.errors import FluoroscopeError, shortened
from core.models.card import ModelCard
from core.results import Architecture, Prediction
from core.tasks import Columns, Tokens
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.checking import report
from dashboard.figures.architecture import architecture_chart
from dashboard.figures.prediction import class_quality, probability_bars
from dashboard.figures.training import training_curves
from dashboard.learning import columns
from dashboard.theme import is_dark

_FIRST = 6  # values of a row that are shown
_WIDE = 700  # pixels across the page, from which words and a picture fit beside each other


def main() -> None:
    """Draw the page for the model in hand."""
    chosen = state.selection()
    card = cached.model_card(chosen.model)
    st.markdown("What is this model made of, what did it learn from, and how good is it?")
    inspecting = cached.handle(Call("describe", cached.model_ref(chosen.model), urgent=True))
    architecture: Architecture | None = None
    if inspecting.state == "done":
        architecture = inspecting.result()
    _numbers(card, architecture)
    wide = ruler.width() >= _WIDE
    words, answer = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    words.markdown(state.plain(card.summary))
    with answer:
        _example(chosen)
    titles = ["Layers", "Quality", "Training", "Methods that fit", "Check-up"]
    if card.raw["parameters"] is None:  # it is asked, and cannot be looked into
        titles = ["Methods that fit", "Check-up"]
    if columns.features(card):
        titles.insert(1 if titles[0] == "Layers" else 0, "Columns")
    for title, tab in zip(titles, st.tabs(titles), strict=True):
        with tab:
            match title:
                case "Layers" if architecture is not None:
                    _layers(card, architecture)
                case "Quality":
                    _quality(card)
                case "Training":
                    _training(card)
                case "Methods that fit" if architecture is not None:
                    _fits(card, architecture)
                case "Columns":
                    columns.draw(card)
                case "Check-up" if architecture is not None:
                    report.panel(cached.model_ref(chosen.model))
    if architecture is None and not waiting.failed("Inspecting the model", inspecting):
        waiting.watch({"Inspecting the model": inspecting})


def _example(chosen: state.Selection) -> None:
    try:
        what = cached.example(chosen.example)
        model = cached.model_ref(chosen.model)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    predicting = cached.handle(Call("predict", model, (what,), urgent=True))
    if not waiting.settled(predicting):
        waiting.watch({"Prediction": predicting})
    elif not waiting.failed("Prediction", predicting):
        prediction: Prediction = predicting.result()[0]
        figure = probability_bars(prediction, count=3, dark=is_dark(st.context.theme.type))
        if isinstance(prediction.axis, Columns):
            st.plotly_chart(figure, theme=None, config=downloads.CHART, key="answer")
            st.caption(_values(prediction.axis))
            return
        shares = [2, 3] if ruler.width() >= _WIDE else [1, 3]
        picture, bars = st.columns(shares, vertical_alignment="center")
        if prediction.picture is not None:
            picture.image(_enlarged(prediction.picture), caption="What the network sees")
        elif isinstance(prediction.axis, Tokens):
            picture.caption(state.plain(shortened(prediction.axis.text, 200)))
        bars.plotly_chart(figure, theme=None, config=downloads.CHART, key="answer")


def _values(axis: Columns) -> str:
    """The first values of a row."""
    pairs = zip(axis.names[:_FIRST], axis.values[:_FIRST], strict=True)
    listed = " · ".join(state.plain(f"{name} = {value}") for name, value in pairs)
    rest = len(axis.names) - _FIRST
    return listed + (f" · and {rest} more columns" if rest > 0 else "")


def _enlarged(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Small pictures with each pixel repeated, so that they stay crisp."""
    times = max(1, 168 // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _numbers(card: ModelCard, architecture: Architecture | None) -> None:
    metrics: dict[str, Any] = card.raw.get("metrics", {})
    held_out = f"on {metrics['n']:,} held-out examples" if metrics.get("n") else ""
    source = f"Reported by: {metrics['source']}" if metrics.get("reported") else held_out
    boxes = st.columns(4)
    accuracy = metrics.get("accuracy")
    boxes[0].metric(
        "Accuracy (reported)" if metrics.get("reported") else "Accuracy",
        "–" if accuracy is None else f"{accuracy:.2%}",
        help=f"{source}. Higher is better." if source else None,
    )
    f1 = metrics.get("f1_macro")
    boxes[1].metric(
        "Macro F1", "–" if f1 is None else f"{f1:.3f}", help="Mean F1 over classes; 1 is best."
    )
    boxes[2].metric("Parameters", _whole(card.raw["parameters"]))
    operations = "…" if architecture is None else _magnitude(architecture.multiply_adds)
    if card.raw["parameters"] is None:
        operations = "–"
    boxes[3].metric("Multiply-adds", operations, help="For one forward of one example.")


def _whole(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _magnitude(number: float) -> str:
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.0f}"


def _layers(card: ModelCard, architecture: Architecture) -> None:
    figure = architecture_chart(architecture, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="architecture")
    downloads.button(figure, [architecture], f"{card.name}.layers")
    rows = [
        {
            "Layer": "\u2003" * (layer.depth - 1) + layer.name.rpartition(".")[2]
            if layer.name
            else card.title,
            "Kind": layer.kind,
            "Output shape": " × ".join(map(str, layer.output_shape)),
            "Parameters": layer.parameters,
            "Multiply-adds": layer.multiply_adds * max(layer.calls, 1),
            "Calls": layer.calls,
        }
        for layer in architecture.layers
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if architecture.rewrites:
        st.caption(
            "For hooked methods, rewritten with the same weights: "
            + "; ".join(map(state.plain, architecture.rewrites))
            + "."
        )
    if architecture.unrewritable:
        why = state.plain(architecture.unrewritable)
        st.caption(f"Could not be rewritten for hooked methods: {why}")


def _quality(card: ModelCard) -> None:
    metrics = card.raw.get("metrics", {})
    if metrics.get("reported"):
        st.markdown(f"Not measured here. Reported by {metrics.get('source', 'its authors')}.")
    per_class = metrics.get("per_class")
    if per_class:
        figure = class_quality(per_class, dark=is_dark(st.context.theme.type))
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="quality")
        downloads.button(figure, [], f"{card.name}.quality", {"metrics": metrics})


def _training(card: ModelCard) -> None:
    data, training = card.raw.get("data") or {}, card.raw.get("training") or {}
    split = ", ".join(f"{count:,} {name}" for name, count in (data.get("split") or {}).items())
    facts = {
        "Data": data.get("name"),
        "Source": data.get("source"),
        "Data licence": data.get("licence"),
        "Split": split,
        "Note": data.get("note"),
        "Optimiser": training.get("optimiser"),
        "Epochs": training.get("epochs"),
        "Trained for": training.get("seconds") and f"{training['seconds']:.0f} s",
        "On": training.get("device"),
        "Weights licence": card.raw.get("licence"),
    }
    history = card.folder / "history.json"
    if history.is_file():
        figure = training_curves(
            json.loads(history.read_text(encoding="utf-8")), dark=is_dark(st.context.theme.type)
        )
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="training")
        downloads.button(figure, [], f"{card.name}.training", {"training": training})
    known = {name: state.plain(str(value)) for name, value in facts.items() if value}
    st.table(pd.Series(known, name=""))
    if training.get("command"):
        st.caption("Trained by")
        st.code(training["command"], language="shell")


def _fits(card: ModelCard, architecture: Architecture) -> None:
    rows = [
        {
            "Method": method.title,
            "Fit": architecture.fits[method.name].level,
            "Why": architecture.fits[method.name].reason or "Nothing stands in its way.",
        }
        for method in methods(card.task.axis)
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"Why": st.column_config.TextColumn(width="large")},
    )


main()
