"""Attributions as vectors: examples lie close together when the model goes by the same in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.attribution.compute import attribute
from core.attribution.mean import word_values
from core.data.dataset import Dataset
from core.errors import BadInput
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.projection.neighbours import kept
from core.projection.space import Vectors
from core.provenance import sha256_of_json, versions
from core.results.attribution import Attribution
from core.tasks import PixelGrid

METHOD = "input_x_gradient"
_MOST = 2_000  # examples
_SIDE = 32  # of a map, in cells at most
_WORDS = 1_000
_TOGETHER = 50


def attributed(model: LoadedModel, data: Dataset, seed: int, meter: Meter) -> Vectors:
    """Gradient × input of each example's own answer, as float32 ``[example, cell or word]``.

    A picture's map is summed over squares so that it has at most 32 × 32 cells; a text is a bag of
    words, each with what its tokens contribute, of the 1,000 words that occur in most texts. Every
    vector has length 1, since how sure the model is shall not matter.

    Raises ``BadInput`` for more than 2,000 examples, and for pictures of different sizes.
    """
    if len(data) > _MOST:
        raise BadInput(
            f"There are {len(data):,} examples, and each needs a pass forward and back.",
            f"Take at most {_MOST:,}.",
        )
    key = sha256_of_json([METHOD, model.ref.fingerprint, data.fingerprint, seed, versions()])
    values = kept(key, lambda: {"values": _values(model, data, seed, meter)})["values"]
    return Vectors(
        values,
        tuple(data.ids),
        f"attributions of {model.ref.name} over {data.name}",
        data.fingerprint,
        model.ref.name,
        model.ref.fingerprint,
    )


def _values(model: LoadedModel, data: Dataset, seed: int, meter: Meter) -> npt.NDArray[np.float32]:
    found: list[Attribution] = []
    for start in range(0, len(data), _TOGETHER):
        rows = range(start, min(start + _TOGETHER, len(data)))
        asked = {"method": METHOD, "target": "top", "settings": {}}
        found += attribute(model, data.examples(rows), asked, seed, meter)
    values = _grids(found) if isinstance(found[0].axis, PixelGrid) else _bags(found)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-30), np.float32)


def _grids(found: Sequence[Attribution]) -> npt.NDArray[np.float64]:
    shape = found[0].heatmap.shape
    if any(each.heatmap.shape != shape for each in found):
        raise BadInput(
            "The maps of these pictures differ in size, so they are no vectors of one length.",
            "Choose a layer instead.",
        )
    every = np.stack([each.heatmap for each in found]).astype(np.float64)
    for axis in (1, 2):
        starts = np.unique(np.linspace(0, every.shape[axis], _SIDE, endpoint=False).astype(int))
        every = np.add.reduceat(every, starts, axis=axis)
    return every.reshape(len(found), -1)


def _bags(found: Sequence[Attribution]) -> npt.NDArray[np.float64]:
    bags = [word_values(each) for each in found]
    counts = Counter(word for bag in bags for word in bag)
    places = {word: place for place, (word, _) in enumerate(counts.most_common(_WORDS))}
    every = np.zeros((len(bags), max(len(places), 1)))
    for row, bag in enumerate(bags):
        for word, value in bag.items():
            if word in places:
                every[row, places[word]] = value
    return every
