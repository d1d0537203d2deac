"""Arrays as a data set: images, rows of numbers, or texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.arrays import Arrays, labels_of, picture_reader
from core.data.examples import Dataset
from core.data.files import Skipped
from core.data.ownexamples import numbered, texts_in_memory
from core.data.splits import listed
from core.data.table import features_from
from core.errors import BadInput
from core.tasks import Example

if TYPE_CHECKING:
    from core.data.opening import Wanted


def examples(found: Arrays, name: str, key: str, wanted: Wanted) -> Dataset:
    """The inputs of all parts as a model reads them; ``key`` is the fingerprint of the file.

    Raises ``BadInput`` when they are not what it reads.
    """
    said = labels_of(found.parts, found.classes)
    labels, classes = numbered(said)
    count = sum(len(each.inputs) for each in found.parts)
    columns: dict[str, Any] = {}
    if any(each.name for each in found.parts):
        columns["part"] = np.repeat(
            [each.name for each in found.parts], [len(each.inputs) for each in found.parts]
        )
    ids = [f"row {row}" for row in range(1, count + 1)]
    skipped = tuple(Skipped(each, "neither examples nor labels") for each in found.left_out)
    notes = (f"arrays left out: {listed(found.left_out)}",) if found.left_out else ()
    if wanted.model.task.axis == "tokens":
        return texts_in_memory(
            name,
            ids,
            _texts(found, name),
            labels=labels,
            classes=classes,
            columns=columns,
            notes=notes,
            skipped=skipped,
            fingerprint=key,
        )
    if wanted.pictures:
        picture, note = picture_reader(found.parts, name)
        notes = (*notes, note) if note else notes

        def read(row: int) -> Example:
            return Example(f"{ids[row]}.png", picture(row))
    else:
        names, ends = _columns(found, name, wanted), np.cumsum([len(p.inputs) for p in found.parts])

        def read(row: int) -> Example:
            part = int(np.searchsorted(ends, row, side="right"))
            values = found.parts[part].inputs[row - int(ends[part])].tolist()
            return Example(ids[row], json.dumps(dict(zip(names, values, strict=True))).encode())

    held = not all(isinstance(each.inputs, np.memmap) for each in found.parts)
    return Dataset(
        name, ids, read, key, labels, classes, columns, notes=notes, skipped=skipped, held=held
    )


def _texts(found: Arrays, name: str) -> list[str]:
    for each in found.parts:
        if each.inputs.dtype.kind not in "US" or each.inputs.ndim != 1:
            raise BadInput(
                f"'{name}' holds {each.inputs.dtype} of shape {each.inputs.shape}, this model "
                "reads texts.",
                "Save an array of texts, or a table with a column of them.",
            )
    texts = [str(text) for each in found.parts for text in each.inputs.astype(str)]
    if not all(text.strip() for text in texts):
        raise BadInput(f"'{name}' has an empty text.", "Leave it out.")
    return texts


def _columns(found: Arrays, name: str, wanted: Wanted) -> tuple[str, ...]:
    for each in found.parts:
        if each.inputs.ndim != 2 or each.inputs.dtype.kind not in "fiub":
            raise BadInput(
                f"'{name}' holds {each.inputs.dtype} of shape {each.inputs.shape}, this model "
                "reads rows of numbers.",
                "Save an array [example, column].",
            )
    widths = {each.inputs.shape[1] for each in found.parts}
    features = tuple(each.name for each in features_from(wanted.model.raw["preprocessing"]))
    names = found.columns or features
    if widths != {len(names)}:
        raise BadInput(
            f"'{name}' has {listed([str(width) for width in sorted(widths)])} columns, the model "
            f"reads {len(features)}: {listed(features)}.",
            "Save them in this order, or their names as 'columns'.",
        )
    return names
