"""The check-up of a model: its findings as a list, worst first, with what to do about each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.engine.call import Call
from core.engine.executor import Handle
from core.models.reference import ModelRef
from core.results import CheckUp, Finding
from core.results.checkup import Level
from dashboard import cached, state, waiting
from dashboard.commands.workspace import sized

_ICONS: dict[Level, str] = {
    "good": ":material/check_circle:",
    "note": ":material/info:",
    "warning": ":material/warning:",
    "bad": ":material/error:",
}
_WORDS: dict[Level, str] = {"good": "Good", "note": "Note", "warning": "Warning", "bad": "Bad"}
_COLOURS: dict[Level, str] = {"good": "gray", "note": "gray", "warning": "orange", "bad": "red"}
_OPERATORS = 12


def check_up(model: ModelRef) -> Handle:
    """The check-up of a model, asked for once. One that somebody brought is looked over in a
    process of its own.
    """
    return cached.handle(Call("check_up", model))


def panel(model: ModelRef) -> None:
    """Ask for the check-up of a model and draw it, or how far it is."""
    asked = check_up(model)
    if not waiting.settled(asked):
        waiting.watch({"Check-up": asked})
    elif not waiting.failed("Check-up", asked):
        draw(asked.result())


def draw(found: CheckUp) -> None:
    """All findings, worst first, and the numbers behind them."""
    st.markdown(f"**{verdict(found)}**")
    _numbers(found)
    st.markdown(table(found.findings))
    with st.expander("Operators, layers of attention, and layers that cannot be captured"):
        _details(found)


def table(findings: Sequence[Finding]) -> str:
    """Findings as a table in Markdown: level, what was looked at, what was found and what to do."""
    lines = ["| | Level | Looked at | Found |", "| :-- | :-- | :-- | :-- |"]
    for each in findings:
        colour = _COLOURS[each.level]
        level = f":{colour}[{_ICONS[each.level]}] | :{colour}[{_WORDS[each.level]}]"
        advice = f" :gray[{state.plain(each.advice)}]" if each.advice else ""
        lines.append(f"| {level} | {each.title} | {_flat(each.found)}{advice} |")
    return "\n".join(lines)


def _flat(text: str) -> str:
    """Text in one line, as a row of a table must be."""
    return state.plain(" ".join(text.split()))


def verdict(found: CheckUp) -> str:
    """The whole in one sentence."""
    bad, warnings = len(found.at("bad")), len(found.at("warning"))
    if bad:
        return f"{_counted(bad, 'finding')} would make results wrong: mend this first."
    if warnings:
        return f"It can be used; {_counted(warnings, 'finding')} limit what can be done with it."
    notes = len(found.at("note"))
    more = f" {_counted(notes, 'thing')} to know, and what to do:" if notes else ""
    return f"Nothing stands in the way.{more}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _numbers(found: CheckUp) -> None:
    facts = [f"{found.parameters:,} parameters"]
    if found.disk_bytes:
        facts.append(f"{sized(found.disk_bytes)} on disk")
    if found.device_bytes:
        facts.append(f"{sized(found.device_bytes)} on {found.provenance.device.upper()}")
    if found.forward_seconds:
        facts.append(f"{1000 * found.forward_seconds:.3g} ms for one forward")
    if found.input_shape:
        shape = " × ".join(f"{each:,}" for each in found.input_shape)
        facts.append(f"{shape} numbers in, {found.outputs:,} out")
    st.caption(" · ".join(facts))


def _details(found: CheckUp) -> None:
    if found.left_out:
        rows = [{"Layer": name, "Why not": why} for name, why in found.left_out.items()]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    if found.attention:
        rows = [
            {"Attention": each.name, "Role": each.role, "Heads": str(each.heads)}
            for each in found.attention
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    total = sum(found.operators.values())
    some = list(found.operators.items())[:_OPERATORS]
    listed = ", ".join(f"{name} × {count}" for name, count in some)
    more = len(found.operators) - len(some)
    rest = f" and {more} more kinds" if more > 0 else ""
    st.caption(state.plain(f"{total:,} calls of operators in one forward: {listed}{rest}."))
