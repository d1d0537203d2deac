"""Importance by region as maps over the mean pictures of the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.importance.parts import Parts
from core.importance.sample import Sample
from core.importance.ways import Way
from core.models.loaded import LoadedModel
from core.provenance import Provenance
from core.results.architecture import Fit
from core.results.attribution import Attribution
from core.tasks import PixelGrid, Target

Floats = npt.NDArray[np.float64]


_MOST = 15  # classes with a map: the most frequent


def mapped(owners: npt.NDArray[np.int64]) -> list[int]:
    """The classes of ``owners [example]`` that get a map of their own, in their order."""
    classes, counts = np.unique(owners, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST]
    found: list[int] = np.sort(classes[order]).tolist()
    return found


def painted(
    model: LoadedModel,
    sample: Sample,
    shares: Parts,
    each: Floats,
    way: Way,
    owners: npt.NDArray[np.int64],
    unit: str,
    seed: int,
) -> tuple[Attribution, ...]:
    """The mean of each region as a map in ``unit`` over the mean picture, by class."""
    batch = sample.batches[0][1]
    axis = batch.axes[0]
    if not isinstance(axis, PixelGrid):
        return ()
    share = np.bincount(shares.ids.reshape(-1))[shares.ids]
    maps = []
    for place in mapped(owners):
        inside = np.flatnonzero(owners == place)
        values = (each[inside].mean(axis=0)[shares.ids] / share).astype(np.float32)
        pictures = [batch.pictures[row] for row in inside]
        name = model.adapter.classes[place]
        maps.append(
            Attribution(
                method=way.name,
                example=f"mean of {len(inside)} examples",
                target=Target(place, name),
                axis=axis,
                values=values[None],
                score=float(sample.logits[inside, place].mean()),
                fit=Fit("exact"),
                settings={},
                picture=None
                if any(one is None for one in pictures)
                else np.rint(np.mean([one for one in pictures if one is not None], axis=0)).astype(
                    np.uint8
                ),
                provenance=Provenance(
                    model.ref.name,
                    model.ref.fingerprint,
                    (sample.data.fingerprint,),
                    "importance",
                    {"way": way.name},
                    seed,
                    str(model.device),
                    0.0,
                ),
                unit=unit,
            )
        )
    return tuple(maps)
