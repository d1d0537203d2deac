"""What a model of tables reads: its columns, and what the training rows have in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.models.card import ModelCard

_MOST_NAMES = 12


def features(card: ModelCard) -> Sequence[Mapping[str, Any]]:
    """The columns that a card names; none for a model of pictures or texts."""
    found: Sequence[Mapping[str, Any]] = (card.raw.get("preprocessing") or {}).get("features", ())
    return found


def draw(card: ModelCard) -> None:
    """A table of them: number or category, mean and spread, the categories with their shares."""
    rows = []
    for each in features(card):
        names, shares = list(each.get("categories", ())), list(each.get("frequencies", ()))
        known = f"{len(names)} categories" if names else "number"
        if shares:
            names = [f"{n} {s:.0%}" for n, s in zip(names, shares, strict=True)]
        rows.append(
            {
                "Column": each["name"],
                "Read as": known + (", may be missing" if each.get("indicator") else ""),
                "Mean": "–" if names else _number(each.get("mean")),
                "Spread": "–" if names else _number(each.get("std") or None),
                "Categories": " · ".join(names[:_MOST_NAMES]) + " · …" * (len(names) > _MOST_NAMES),
            }
        )
    table = pd.DataFrame(rows)
    text = st.column_config.TextColumn
    st.dataframe(
        table if any(table["Categories"]) else table.drop(columns="Categories"),
        hide_index=True,
        column_config={
            "Mean": text(help="Of the training rows.", alignment="right"),
            "Spread": text(help="Standard deviation of the training rows.", alignment="right"),
            "Categories": text(width="large"),
        },
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
