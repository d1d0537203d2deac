"""Words of the text in hand changed with a click, and the fewest that change the answer."""

from __future__ import annotations

import streamlit as st

from core.data.text import without
from core.engine.call import Call
from core.results import Prediction
from core.results.flip import Flip
from core.results.levels import Grouped
from core.tasks import WHOLE_OUTPUT
from dashboard import cached, state, waiting
from dashboard.counterfactual import edit, said, text_of


def pick(chosen: state.Selection, groups: Grouped, place: int) -> None:
    """Take the word that was clicked in hand; only what the model read can be edited."""
    if not 0 <= place < len(groups.spans):
        return
    start, end = groups.spans[place]
    if groups.special[place] or groups.parts[place] != 0 or end <= start:
        return
    # Of a text that was cut, what was read may begin later than the text.
    later = text_of(chosen.example).find(groups.text[:end])
    if later >= 0:
        state.change(picked=f"{later + start}-{later + end}")


def word(chosen: state.Selection, now: Prediction) -> None:
    """The word in hand, to be dropped, masked or replaced."""
    text = text_of(chosen.example)
    span = _span(chosen.picked, text)
    if span is None:
        st.caption("Click a word to drop, mask or replace it.")
        return
    start, end = span
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(text[start:end].strip())}**")
        if state.pressed("Drop", "drop", help="The text without this word."):
            edit(chosen, without(text, [span]))
        inputs = (cached.example(chosen.example),)
        call = Call("cover", cached.model_ref(chosen.model), inputs, {"spans": [list(span)]})
        if state.pressed("Mask", "mask", help="The answer when the model cannot read this word."):
            state.asked().add(call.key)
        other = st.text_input(
            "Replace with",
            key=f"replace:{chosen.example}:{chosen.picked}",
            placeholder="Replace with …",
            label_visibility="collapsed",
            width=200,
        )
        if other.strip() and other.strip() != text[start:end]:
            edit(chosen, text[:start] + other.strip() + text[end:])
    if call.key in state.asked():
        _masked(call, text[start:end].strip(), now)


def fewest(chosen: state.Selection, now: Prediction) -> None:
    """The smallest set of words whose removal changes the predicted class, on a click."""
    if WHOLE_OUTPUT in now.classes or len(now.classes) < 2:
        return
    inputs = (cached.example(chosen.example),)
    call = Call("flip", cached.model_ref(chosen.model), inputs, {"replacement": "drop"})
    if call.key not in state.asked() and not cached.stored(call):
        if state.pressed(
            "Fewest words that change the answer",
            f"fewest:{call.key}",
            help="Looks for the smallest set of words without which the model answers otherwise.",
        ):
            state.asked().add(call.key)
            st.rerun()
        return
    handle = cached.handle(call)
    open_calls = waiting.under_way({"Fewest words": handle})
    if handle.state == "done":
        _flipped(chosen, handle.result()[0])
    waiting.failed("Fewest words", handle)
    waiting.watch(open_calls)


def _masked(call: Call, name: str, now: Prediction) -> None:
    handle = cached.handle(call)
    open_calls = waiting.under_way({"Masking": handle})
    if handle.state == "done":
        found: Prediction = handle.result()[0]
        best = found.top(1)[0]
        if found.classes[best] == WHOLE_OUTPUT:
            change = f"{now.logits[best]:.2f} → {found.logits[best]:.2f}"
            then = f"the log-probability of the same output goes **{change}**"
        else:
            then = f"it says **{said(found)}**"
        by = str(found.provenance.parameters["replacement"])
        how = "" if by == "mask" else f" :gray[({state.plain(by)}: it has no mask token)]"
        st.markdown(f"With **{state.plain(name)}** masked{how} {then}")
    waiting.failed("Masking", handle)
    waiting.watch(open_calls)


def _flipped(chosen: state.Selection, found: Flip) -> None:
    if found.after is None:
        st.markdown(f"No set of words that was tried changes the answer ({found.tried:,} tried).")
        return
    words = ", ".join(f"**{state.plain(each.strip())}**" for each in found.words)
    proof = "no smaller set does it" if found.proven_smallest else "a smaller set may do it"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"Without {words} it says **{said(found.after)}** · :gray[{proof}]")
        if state.pressed("Show it", "show-fewest", help="As an edit of this text."):
            edit(chosen, found.text)


def _span(picked: str, text: str) -> tuple[int, int] | None:
    start, _, end = picked.partition("-")
    if not (start.isdecimal() and end.isdecimal() and len(start) < 9 and len(end) < 9):
        return None
    span = int(start), int(end)
    return span if 0 <= span[0] < span[1] <= len(text) and text[slice(*span)].strip() else None
