"""The Attribution page for texts: words coloured by what they add."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import streamlit as st

from core.attribution.registry import methods
from core.data.text import decode
from core.errors import FluoroscopeError
from core.results import Attribution, Prediction
from core.tasks import WHOLE_OUTPUT, Tokens
from dashboard import cached, counterfactual, downloads, manytexts, pickedwords, ruler, state, texts
from dashboard.explaining.answer import classes
from dashboard.export import document
from dashboard.figures.tokens import token_bars, token_matrix
from dashboard.theme import is_dark

# The first three of these that fit are shown on the first visit.
FIRST = ("integrated_gradients", "feature_ablation", "shapley_value_sampling")
TARGETS = {
    "top": "The answer",
    "each": "Every one in turn",
    "top vs second": "Most likely against second",
}
_MOST_BARS, _WIDE = 6, 840
_TITLES = {method.name: method.title for method in methods("tokens")}
_LEVELS = {"token": "Tokens", "word": "Words", "sentence": "Sentences"}
_SIGNS = {"both": "For and against", "positive": "For only", "negative": "Against only"}


def text(chosen: state.Selection) -> None:
    """The text in hand, to be edited in place: another one is another example."""
    manytexts.draw(chosen)
    try:
        now = decode(cached.example(chosen.example))
    except FluoroscopeError:
        now = ""  # the page says why
    typed = st.text_area(
        "Text",
        now,
        key=f"text:{chosen.example}",
        height=100,
        placeholder="Type or paste a text",
        help="Change it and press Ctrl+Enter to see what the model makes of it.",
    )
    if not typed.strip():
        if now:
            st.warning("There is nothing to read. Below is the answer to the text before.")
    elif typed != now:
        counterfactual.edit(chosen, typed)


def answer(prediction: Prediction, chosen: state.Selection) -> None:
    """What the model says, or writes."""
    if WHOLE_OUTPUT not in prediction.classes:
        classes(prediction, chosen.target)
    else:
        whole = prediction.classes.index(WHOLE_OUTPUT)
        st.markdown(f"It writes **{state.plain(_written(prediction))}**")
        st.caption(
            f"log-probability {prediction.logits[whole]:.2f} · "
            f"{prediction.probabilities[:whole].min(initial=1):.0%} for the least sure token"
        )
    for note in prediction.notes:
        st.caption(state.plain(note))


def view(chosen: state.Selection) -> None:
    """What values are summed over, and which are shown."""
    st.segmented_control(
        "Level", _LEVELS, format_func=_LEVELS.get, **state.bind("level", chosen.level)
    )
    st.segmented_control("Sign", _SIGNS, format_func=_SIGNS.get, **state.bind("sign", chosen.sign))
    st.toggle(
        "Special tokens one by one",
        help="Such as the start and the end of the text; else they are one last entry together.",
        **state.bind("special", bool(chosen.special), lambda on: "shown" if on else ""),
    )


def draw(
    chosen: state.Selection,
    shown: Sequence[Attribution | None],
    waited: Sequence[str],
    asking: Sequence[str],
    prediction: Prediction,
) -> None:
    """A row of coloured text for each attribution that is there, and bars of the weightiest."""
    results = [each for each in shown if each is not None]
    if not results:
        return
    dark = is_dark(st.context.theme.type)
    fold, shared = not chosen.special, chosen.scale == "shared"
    original = counterfactual.prediction(chosen)
    before: list[Attribution | None] = [None] * len(results)
    if original is not None:
        counterfactual.answers(original, prediction, chosen)
        before = counterfactual.attributions(chosen, results, original, prediction)
    old = [each for each in before if each is not None]
    every = [*results, *old]  # of both, so that colours mean the same
    rows = texts.rows(
        every,
        _TITLES,
        level=chosen.level,
        fold_special=fold,
        sign=chosen.sign,
        shared=shared,
        dark=dark,
    )
    legends = texts.scales(every, chosen.level, fold, shared, dark)
    groups = texts.grouped(results[0], chosen.level, fold)
    left, right = st.columns(2, gap="medium") if old else (st.container(), st.container())
    with right:
        if old:
            st.markdown("**Now**")
        texts.draw(
            rows[: len(results)],
            legends,
            dark=dark,
            on_pick=lambda place: pickedwords.pick(chosen, groups, place),
        )
    if old:
        with left:
            st.markdown("**Before**")
            texts.draw(rows[len(results) :], legends, dark=dark, key="texts:before")
    pickedwords.word(chosen, prediction)
    pickedwords.fewest(chosen, prediction)
    if original is not None:
        tables = st.container(horizontal=True, gap="medium")  # one below the other where narrow
        with tables.container(width=370):
            counterfactual.moved(original, prediction)
        with tables.container(width=540):
            counterfactual.difference(before, results, _TITLES, chosen.level, fold)
    names = "-".join(dict.fromkeys(result.method for result in results))
    name = f"{PurePath(prediction.example).stem}.{names}"[:80]
    downloads.texts(rows[: len(results)], legends, name, document(results, prediction), dark)
    look = {"level": chosen.level, "fold_special": fold, "dark": dark}
    if len(results) <= _MOST_BARS:
        across = 3 if ruler.width() >= _WIDE else 2
        figure = token_bars(results, _TITLES, across=across, **look)
    else:
        figure = token_matrix(results, _TITLES, **look)
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="bars")
    downloads.button(figure, results, name, document(results, prediction))


def _written(prediction: Prediction) -> str:
    """The output's text: what was read after the line of the input's last token."""
    axis = prediction.axis
    if not isinstance(axis, Tokens):
        return ""
    ends = [end for (_, end), part in zip(axis.spans, axis.parts, strict=True) if part == 0]
    return axis.text[max(ends, default=0) :].partition("\n")[2].strip() or "nothing"
