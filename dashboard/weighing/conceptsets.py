"""What the sets of examples behind concepts look like, at a glance."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
import streamlit as st

from core.concepts.offered import offered
from core.concepts.own import of_file
from core.concepts.sets import ConceptSet
from core.data.dataset import Dataset
from core.tasks import Example
from dashboard import cached, state
from dashboard.wording import words

_FEW = 8


def at_hand(now: state.Selection, data: Dataset) -> tuple[ConceptSet, ...]:
    """The concepts that a model can be asked about with nothing but its data."""
    return _at_hand(now.model, now.data, data.fingerprint)


@lru_cache(maxsize=8)
def _at_hand(model: str, name: str, fingerprint: str) -> tuple[ConceptSet, ...]:
    pictures = cached.small_pictures(model, name)
    return offered(cached.model_card(model), cached.dataset(model, name), pictures)


@lru_cache(maxsize=8)
def own(name: str, model: str) -> ConceptSet:
    """The examples in an upload, as a concept for a model.

    Raises ``BadInput``.
    """
    return of_file(cached.example(name), cached.model_card(model))


def glance(now: state.Selection, sets: Sequence[ConceptSet]) -> None:
    """Of each concept its name, what it is, and a few of its examples."""
    axis = cached.model_card(now.model).task.axis
    rows = []
    for each in sets:
        row: dict[str, object] = {"Concept": each.name, "What": each.about, "Examples": len(each)}
        if axis == "pixels":
            row |= {f" {' ' * n}": picture for n, picture in enumerate(_pictures(now, each))}
        else:
            some = [cached.dataset(now.model)[place] for place in each.rows[:3]]
            some += each.examples[: 3 - len(some)]
            row["Some of them"] = " │ ".join(words(one.data, axis, 90) for one in some)
        rows.append(row)
    columns = {
        name: st.column_config.ImageColumn(width=44)
        for row in rows
        for name in row
        if not name.strip()
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)


def _pictures(now: state.Selection, each: ConceptSet) -> list[str]:
    """``data:`` addresses of a few; a person's own pictures are never decoded here."""
    shown = [cached.thumbnail(cached.row_name(now.model, row), 48) for row in each.rows[:_FEW]]
    return shown + [address(one) for one in each.examples[: _FEW - len(shown)]]


def address(example: Example) -> str:
    """A small PNG or JPEG file as it stands, as a ``data:`` address; nothing for another."""
    png = example.data.startswith(b"\x89PNG")
    if len(example.data) > 2**18 or not (png or example.data.startswith(b"\xff\xd8\xff")):
        return ""
    return f"data:image/{'png' if png else 'jpeg'};base64,{base64.b64encode(example.data).decode()}"
