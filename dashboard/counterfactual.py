"""What if: a text beside what it was before an edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

import pandas as pd
import streamlit as st

from core.attribution.registry import method
from core.data.text import decode
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Attribution, Prediction
from core.results.levels import Grouped
from core.tasks import WHOLE_OUTPUT, Target, Tokens, parse_targets
from dashboard import cached, controls, state, texts, waiting

# A text that shares fewer of its words than this with the one in hand is a new one, not an edit.
_SHARED = 0.5
_MOST_CLASSES = 6
_NONE = "–"


@dataclass(frozen=True)
class Change:
    """A word before and after an edit with its values; None where there is none."""

    before: str | None
    after: str | None
    value_before: float
    value_after: float

    @property
    def difference(self) -> float:
        """What the edit adds; over all words that of the sums."""
        return self.value_after - self.value_before


def changes(before: Grouped, after: Grouped) -> list[Change]:
    """Words of two texts side by side, in the order of the second."""
    found: list[Change] = []
    matcher = SequenceMatcher(a=_compared(before), b=_compared(after), autojunk=False)
    for _, a, a_end, b, b_end in matcher.get_opcodes():
        for old, new in zip_longest(range(a, a_end), range(b, b_end)):
            found.append(
                Change(
                    None if old is None else before.labels[old],
                    None if new is None else after.labels[new],
                    0.0 if old is None else float(before.values[old]),
                    0.0 if new is None else float(after.values[new]),
                )
            )
    return found


def is_edit(before: str, after: str) -> bool:
    """Whether a text is another with some words changed, rather than a new one."""
    return SequenceMatcher(a=before.split(), b=after.split()).quick_ratio() >= _SHARED


def edit(chosen: state.Selection, text: str) -> None:
    """Take ``text`` as an edit of the one in hand, and draw the page anew."""
    original = chosen.original or chosen.example
    try:
        kept = cached.keep_upload("text.txt", text.encode("utf-8", "surrogatepass"))
        decode(cached.example(kept))
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    first = text_of(original)
    if text == first:
        kept = original
    if kept == original or not is_edit(first, text):
        original = ""
    state.change(example=kept, original=original, picked="")
    st.rerun()


def prediction(chosen: state.Selection) -> Prediction | None:
    """The answer to the original of the text in hand; None where it is none, or not there yet."""
    if not chosen.original:
        return None
    try:
        inputs = (cached.example(chosen.original),)
    except FluoroscopeError as error:
        st.warning(state.plain(str(error)))
        return None
    handle = cached.handle(Call("predict", cached.model_ref(chosen.model), inputs, urgent=True))
    waiting.watch(waiting.under_way({"The original": handle}))
    if handle.state != "done":
        waiting.failed("The original", handle)
        return None
    found: Prediction = handle.result()[0]
    return found


def attributions(
    chosen: state.Selection,
    results: Sequence[Attribution],
    before: Prediction,
    after: Prediction,
) -> list[Attribution | None]:
    """For each of ``results`` the same of the original; None where it is not there yet.

    Of what a model writes only the whole is compared: its tokens are others.
    """
    model, inputs = cached.model_ref(chosen.model), (cached.example(chosen.original),)
    same = parse_targets(chosen.target, before.classes, before.logits) == parse_targets(
        chosen.target, after.classes, after.logits
    )
    calls = {}
    for place, each in enumerate(results):
        spec = chosen.target if same else _spec(each.target)
        if WHOLE_OUTPUT in after.classes and each.target.label != WHOLE_OUTPUT:
            continue
        settings = controls.settings_of(method(each.method, "tokens"), chosen)
        parameters = {"method": each.method, "target": spec, "settings": settings}
        calls[place] = Call("attribute", model, inputs, parameters, urgent=True)
    handles = {place: cached.handle(call) for place, call in calls.items()}
    titles = {
        place: f"{method(results[place].method, 'tokens').title}, before" for place in handles
    }
    open_calls = waiting.under_way({titles[place]: each for place, each in handles.items()})
    found: list[Attribution | None] = []
    for place, each in enumerate(results):
        handle = handles.get(place)
        done = handle is not None and handle.state == "done"
        known = handle.result() if handle is not None and done else ()
        found.append(next((one for one in known if one.target == each.target), None))
    for place, handle in handles.items():
        waiting.failed(titles[place], handle)
    waiting.watch(open_calls)
    return found


def answers(before: Prediction, after: Prediction, chosen: state.Selection) -> None:
    """What the model said before the edit and says now, and a way back."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"Before the edit: **{said(before)}** · now: **{said(after)}**")
        if state.pressed(
            "Back to the original", "original", type="tertiary", icon=":material/undo:"
        ):
            state.change(example=chosen.original, original="", picked="")
            st.rerun()
        if state.pressed("Compare no more", "alone", type="tertiary"):
            state.change(original="")
            st.rerun()


def moved(before: Prediction, after: Prediction) -> None:
    """The classes whose probability the edit moved most."""
    if WHOLE_OUTPUT in after.classes:
        return
    rows = _moved(before, after)
    st.caption("Probability of each class, and its change in percentage points")
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_PROBABILITIES)


def difference(
    before: Sequence[Attribution | None],
    after: Sequence[Attribution],
    titles: dict[str, str],
    level: str,
    fold: bool,
) -> None:
    """Word by word, what the edit changed, for one of the attributions in hand."""
    pairs = {
        f"{titles.get(new.method, new.method)} · {new.target.title}": (old, new)
        for old, new in zip(before, after, strict=True)
        if old is not None
    }
    if not pairs:
        return
    name = next(iter(pairs))
    if len(pairs) > 1:
        name = st.selectbox(
            "Word by word", list(pairs), key="difference", label_visibility="collapsed"
        )
    old, new = pairs[name]
    st.caption(
        f"Word by word: the score goes {old.score:.3f} → {new.score:.3f} "
        f"({new.score - old.score:+.3f} {new.unit})"
    )
    found = changes(texts.grouped(old, level, fold), texts.grouped(new, level, fold))
    rows = [
        {
            "Before": _NONE if each.before is None else each.before,
            "Now": _NONE if each.after is None else each.after,
            "Value before": _NONE if each.before is None else f"{each.value_before:.3f}",
            "Value now": _NONE if each.after is None else f"{each.value_after:.3f}",
            "Difference": each.difference,
        }
        for each in found
    ]
    text = st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Value before": text(help=f"In {new.unit}.", alignment="right"),
            "Value now": text(help=f"In {new.unit}.", alignment="right"),
            "Difference": st.column_config.NumberColumn(
                format="%+.3f", help="Now less before; a lost word counts 0."
            ),
        },
    )


def text_of(name: str) -> str:
    """The text of an example; empty where it cannot be read, which the page says."""
    try:
        return decode(cached.example(name))
    except FluoroscopeError:
        return ""


def _compared(groups: Grouped) -> list[tuple[str, int, bool]]:
    words = (label.strip() for label in groups.labels)
    return list(zip(words, groups.parts, groups.special, strict=True))


def _spec(target: Target) -> str:
    """A target by its numbers; by name where it is all that a model writes."""
    if target.label == WHOLE_OUTPUT:
        return WHOLE_OUTPUT
    single = f"#{target.index}"
    return single if target.versus is None else f"{single} vs #{target.versus}"


def said(each: Prediction) -> str:
    """The predicted class with its probability, or what is written."""
    best = each.top(1)[0]
    if each.classes[best] != WHOLE_OUTPUT:
        return f"{state.plain(each.classes[best])} · {each.probabilities[best]:.1%}"
    axis = each.axis
    if not isinstance(axis, Tokens):
        raise TypeError(f"'{each.example}' is not a text")
    written = [span for span, part in zip(axis.spans, axis.parts, strict=True) if part == 1]
    words = axis.text[min(a for a, _ in written) : max(b for _, b in written)] if written else ""
    return state.plain(words.strip() or "nothing")


_PROBABILITIES = {
    "Before": st.column_config.NumberColumn(format="percent"),
    "Now": st.column_config.NumberColumn(format="percent"),
    "Change": st.column_config.NumberColumn(
        format="%+.1f", help="In percentage points of the probability."
    ),
}


def _moved(before: Prediction, after: Prediction) -> list[dict[str, object]]:
    """The classes whose probability moved most."""
    change = after.probabilities.astype(float) - before.probabilities.astype(float)
    order = sorted(range(len(change)), key=lambda index: -abs(change[index]))
    return [
        {
            "Class": after.classes[index],
            "Before": float(before.probabilities[index]),
            "Now": float(after.probabilities[index]),
            "Change": 100 * float(change[index]),
        }
        for index in order[:_MOST_CLASSES]
    ]
