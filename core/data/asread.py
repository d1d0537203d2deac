"""A person's table for a model of tables: its rows as the model reads them, whatever its columns
are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from core.data.columns import UnknownColumn
from core.data.examples import Dataset
from core.data.matching import as_read, features_of, matched, told
from core.data.splits import listed
from core.models.card import ModelCard
from core.provenance import sha256_of_json
from core.tasks import Example

SAMPLE: Final = 1_000  # rows by which columns are matched


def by_hand(text: str) -> dict[str, tuple[str, str]]:
    """What a person said of columns, as JSON: for a name of the model the column that it is read
    from and as what; nothing for what makes no sense.
    """
    try:
        found = json.loads(text)
        return {str(name): (str(source), str(kind)) for name, (source, kind) in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


def sample(found: Dataset) -> list[dict[str, Any]]:
    """The first rows of a table as it has them."""
    some = found.examples(range(min(len(found), SAMPLE)))
    return [dict(json.loads(each.data)) for each in some]


def check(found: Dataset, model: ModelCard) -> None:
    """Raise ``UnknownColumn`` when a table has none of the columns that the model reads."""
    names = [each.name for each in features_of(model.raw)]
    known = {_bare(name) for name in names}
    present = list(dict.fromkeys(name for row in sample(found) for name in row))
    if names and not any(_bare(name) in known for name in present):
        raise UnknownColumn(
            f"'{found.name}' has none of the columns that the model reads: {listed(names, 4)}. "
            f"It has {listed(present, 6)}.",
            "Say which column is which.",
            present,
        )


def as_model_reads(found: Dataset, model: ModelCard, said: str = "") -> Dataset:
    """The same rows with the columns of the model first, where the table calls them otherwise or
    lacks some, or a person ``said`` how to read them (see ``by_hand``); with notes on it. One that
    has none of them stays as it is.
    """
    features = features_of(model.raw)
    if not features:
        return found
    rows = sample(found)
    known = by_hand(said)
    pairs = matched(features, rows, known)
    if not any(each.source for each in pairs):
        return found  # whoever reads a row says what it lacks
    same = all(each.source.strip().lower() == each.name.strip().lower() for each in pairs)
    if same and not known:
        return found
    first = f"In the first {SAMPLE:,} rows: " if len(found) > SAMPLE else ""
    taken = {_bare(name) for each in pairs for name in (each.name, each.source)}
    how: Mapping[str, Any] = {each.name: [each.source, each.kind] for each in pairs}

    def read(row: int) -> Example:
        example = found.read(row)
        given = json.loads(example.data)
        (record,) = as_read(pairs, [given])
        others = {name: value for name, value in given.items() if _bare(name) not in taken}
        return Example(example.name, json.dumps({**record, **others}).encode())

    return replace(
        found,
        read=read,
        fingerprint=sha256_of_json([found.fingerprint, how]),
        notes=(*found.notes, *(f"{first}{each}" for each in told(pairs, rows))),
    )


def _bare(name: str) -> str:
    return name.strip().lower()
