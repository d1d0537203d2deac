"""Concepts that any model can be asked about at once, made of the data at hand.

Pictures: textures, and bright ones. Texts: those that hold a word typical of a class, and short
ones. Tables: rows with a high value in a column. Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from core.concepts.sets import LEAST, ConceptSet
from core.concepts.textures import textures
from core.data.dataset import Dataset
from core.data.image import decode
from core.errors import BadInput
from core.models.card import ModelCard
from core.tasks import Example

_MOST = 5  # concepts that are offered
_READ = 2_000  # texts or rows that are looked at
_SIDE = 256  # of a texture: larger ones are enlarged from it
_PICTURES = 300
_WORDS = 4
_WORD = re.compile(r"[^\W\d_]{3,}")


def offered(
    about: ModelCard, data: Dataset, picture: Callable[[int], bytes] | None = None
) -> tuple[ConceptSet, ...]:
    """The concepts for this model and these data, at most six or one for each class; perhaps
    none. ``picture`` gives the file of a picture by its row where the data's own are not to be
    decoded; empty for none.
    """
    match about.task.axis:
        case "pixels":
            return _of_pictures(about, data, picture)
        case "tokens":
            return _of_texts(data)
        case _:
            return _of_rows(data)


def _of_pictures(
    about: ModelCard, data: Dataset, picture: Callable[[int], bytes] | None
) -> tuple[ConceptSet, ...]:
    wanted = about.preprocessing
    if wanted is None:
        return ()
    height, width = min(wanted.height, _SIDE), min(wanted.width, _SIDE)
    made = textures(height, width, wanted.channels)
    light = np.array(
        [
            _light(picture(row) if picture else data[row].data)
            for row in range(min(len(data), _PICTURES))
        ]
    )
    bright = np.flatnonzero(light >= np.quantile(light, 0.75))
    sets = [
        ConceptSet(name, examples=examples, about="pictures that are made up")
        for name, examples in made.items()
    ]
    if LEAST <= len(bright) <= len(light) // 2:
        about_them = "a quarter of the pictures"
        sets.insert(0, ConceptSet("Bright pictures", tuple(bright.tolist()), about=about_them))
    return tuple(sets)


def _light(file: bytes) -> float:
    """The mean brightness of a picture, 0 to 255; of one that cannot be read 0."""
    try:
        with decode(Example("picture", file)) as found:
            return float(np.asarray(found.convert("L").resize((32, 32))).mean())
    except BadInput:
        return 0.0


def _of_texts(data: Dataset) -> tuple[ConceptSet, ...]:
    count = min(len(data), _READ)
    texts = [data[row].data.decode("utf-8", "replace").lower() for row in range(count)]
    words = [set(_WORD.findall(text)) for text in texts]
    sets = []
    if (labels := data.labels) is not None:
        for place, name in enumerate(data.classes):
            typical = _typical(words, labels[:count] == place)
            rows = [row for row, each in enumerate(words) if each & set(typical)]
            if LEAST <= len(rows) <= count // 2:
                quoted = ", ".join(typical)
                sets.append(ConceptSet(f"Words of {name}", tuple(rows), about=f"says {quoted}"))
    lengths = np.array([len(text.split()) for text in texts])
    short = np.flatnonzero(lengths <= np.quantile(lengths, 0.2))
    if LEAST <= len(short) <= count // 2:
        about = f"at most {int(lengths[short].max())} words"
        sets.append(ConceptSet("Short texts", tuple(short.tolist()), about=about))
    return tuple(sets[: max(_MOST, len(data.classes) + 1)])


def _typical(words: list[set[str]], inside: npt.NDArray[np.bool_]) -> list[str]:
    """The words by which texts inside differ most from those outside: by the z score of the log
    odds (Monroe et al. 2008, doi 10.1093/pan/mpn018, with a flat prior).
    """
    here = Counter(
        word for each, is_in in zip(words, inside, strict=True) if is_in for word in each
    )
    there = Counter(word for each in words for word in each)
    there.subtract(here)
    count, others = int(inside.sum()), int((~inside).sum())

    def z(word: str) -> float:
        a, b = here[word] + 0.5, there[word] + 0.5
        odds = np.log(a / (count - here[word] + 0.5)) - np.log(b / (others - there[word] + 0.5))
        return float(odds / np.sqrt(1 / a + 1 / b))

    return sorted(here, key=lambda word: (-z(word), word))[:_WORDS]


def _of_rows(data: Dataset) -> tuple[ConceptSet, ...]:
    count = min(len(data), _READ)
    table = [json.loads(data[row].data) for row in range(count)]
    columns = {}
    for name in table[0]:
        values = np.array([_number(row.get(name)) for row in table])
        known = np.isfinite(values)
        if known.mean() > 0.8 and len(np.unique(values[known])) > 4:
            columns[name] = np.where(known, values, -np.inf)
    order = list(columns)
    if (labels := data.labels) is not None:  # those that go with the label most, and least
        order.sort(key=lambda name: -_related(columns[name], labels[:count]))
        order = [*order[: _MOST - 2], *order[_MOST - 2 :][-2:]]
    sets = []
    for name in order[:_MOST]:
        from_ = np.quantile(columns[name], 0.75)
        rows = np.flatnonzero(columns[name] >= from_)
        if LEAST <= len(rows) <= count // 2:
            about = f"{from_:.4g} or more, a quarter of the rows"
            sets.append(ConceptSet(f"High {name}", tuple(rows.tolist()), about=about))
    return tuple(sets)


def _related(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """The share of a column's ranks that is explained by the label, 0 to 1."""
    ranks = np.argsort(np.argsort(values)).astype(np.float64)
    between = sum(
        (labels == each).sum() * (ranks[labels == each].mean() - ranks.mean()) ** 2
        for each in np.unique(labels)
    )
    return float(between / max(1e-12, ((ranks - ranks.mean()) ** 2).sum()))


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")
