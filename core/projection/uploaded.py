"""Vectors that a person brings along, from a file of some other program."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.vectors import VectorTable, read_vectors
from core.errors import BadInput
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.projection.space import Vectors
from core.tasks import Example

_MOST_COLUMNS = 12


def uploaded(example: Example) -> Vectors:
    """The vectors in a file. Raises ``BadInput``."""
    table = _read(example)
    return Vectors(table.values, table.ids, table.name, table.fingerprint)


def vector_columns(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> dict[str, Any]:
    """The verb ``vector_columns``: what else the file says of each vector, at most twelve columns
    as lists, under ``columns``, and the ``ids``.

    Raises ``BadInput`` without a file, or for one without vectors.
    """
    if not inputs:
        raise BadInput("There is no file.", "Upload one.")
    table = _read(inputs[0])
    columns = list(table.columns.items())[:_MOST_COLUMNS]
    return {
        "ids": list(table.ids),
        "columns": {name: values.tolist() for name, values in columns},
    }


def _read(example: Example) -> VectorTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(example.name).name or "vectors")
        path.write_bytes(example.data)
        return read_vectors(path)
