"""Looking through data that somebody brought, in the worker: the verb ``survey_data``.

All of a picture that pages show of such data is made here, so that the process of the pages never
decodes a stranger's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from core.data.asread import check
from core.data.columns import UnknownColumn
from core.data.dataset import Dataset, dataset
from core.data.image import decode
from core.data.text import decode as decode_text
from core.progress import Meter
from core.results import DataSurvey
from core.tasks import Example

if TYPE_CHECKING:
    from core.models.loaded import LoadedModel

MOST_PICTURES: Final = 10_000
_SIDE: Final = 96
_SMALL: Final = 64  # up to so many pixels a side PNG, larger ones JPEG
_FIRST: Final = 200
_LETTERS: Final = 200


def survey_data(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> DataSurvey:
    """What the data at ``path`` hold for this model, with ``text`` and ``label`` as columns; small
    pictures of the first 10,000.

    Columns that are not told or not there are a ``problem`` of the result. Raises ``BadInput`` when
    there is nothing that the model reads, and for a picture that is damaged inside.
    """
    path = Path(str(parameters["path"]))
    try:
        text, label = (str(parameters.get(name, "")) for name in ("text", "label"))
        data = dataset(model.card, path, text=text, label=label)
        if model.card.task.axis == "columns":
            check(data, model.card)
    except UnknownColumn as error:
        return DataSurvey(path.name, columns=error.columns, problem=str(error))
    pictures, offsets = b"", np.zeros(0, np.int64)
    texts: tuple[str, ...] = ()
    if model.card.task.axis == "pixels":
        pictures, offsets = _pictures(data, meter)
    else:
        some = data.examples(range(min(len(data), _FIRST)))
        texts = tuple(decode_text(each)[:_LETTERS] for each in some)
    labels = np.full(len(data), -1) if data.labels is None else data.labels
    classes = data.classes if data.labels is not None else ()
    taken = dict(data.taken)
    offered = [each for each in data.columns if each not in ("text", "part", "label")]
    return DataSurvey(
        name=data.name,
        examples=len(data),
        classes=classes,
        counts=np.bincount(labels[labels >= 0], minlength=len(classes))[: len(classes)],
        unlabelled=int((labels < 0).sum()),
        ids=tuple(str(each) for each in data.ids[:_FIRST]),
        texts=texts,
        skipped=tuple(each.name for each in data.skipped),
        reasons=tuple(each.reason for each in data.skipped),
        notes=(*data.notes, "Held in memory." if data.held else "Read from disk when needed."),
        columns=tuple(dict.fromkeys([*taken.values(), *offered])) if taken else (),
        text=taken.get("text", ""),
        label=taken.get("label", ""),
        pictures=pictures,
        offsets=offsets,
    )


def _pictures(data: Dataset, meter: Meter) -> tuple[bytes, Any]:
    count = min(len(data), MOST_PICTURES)
    meter.expect(count, "looking at pictures")
    found = []
    for row in range(count):
        meter.tick()
        found.append(_small(decode(data[row])))
    return b"".join(found), np.cumsum([0, *map(len, found)])


def _small(image: Image.Image) -> bytes:
    image.thumbnail((_SIDE, _SIDE))
    buffer = BytesIO()
    image.save(buffer, "PNG" if max(image.size) <= _SMALL else "JPEG", quality=85)
    return buffer.getvalue()
