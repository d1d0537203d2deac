"""Groups on a map, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.models.loaded import LoadedModel
from core.progress import Meter
from core.projection.compute import project
from core.projection.words import overrepresented
from core.results.activations import open_capture
from core.results.projection import Clusters
from core.tasks import Example

Ints = npt.NDArray[np.int64]
_SHARE = 0.6  # of a group that must be of one class for its name


def cluster(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Clusters:
    """The verb ``cluster``: groups on the map that the verb ``project`` makes of the same
    ``parameters``, named by classes and words of the data.
    """
    made = project(model, inputs, {**parameters, "judged": False}, seed, meter)
    found = open_capture(str(parameters["capture"]))
    texts = found.columns.get("text")
    return clusters(
        made.points,
        classes=found.classes,
        labels=None if found.labels is None else np.asarray(found.labels),
        texts=None if texts is None else [str(each) for each in texts],
    )


def clusters(
    points: npt.NDArray[np.float32],
    *,
    classes: Sequence[str] = (),
    labels: Ints | None = None,
    texts: Sequence[str] | None = None,
    smallest: int = 0,
) -> Clusters:
    """Groups of ``points [example, dim]`` by HDBSCAN (Campello et al. 2013, doi
    10.1007/978-3-642-37456-2_14) of at least ``smallest`` examples, by default 2 % and at least
    five. A group is named by its class where most of it is of one, and by its typical words.
    """
    from sklearn.cluster import HDBSCAN

    least = smallest or max(5, round(0.02 * len(points)))
    none = np.full(len(points), -1, np.int64)
    if len(points) <= least:
        return Clusters(none, np.zeros(len(points), np.float32), ())
    fitted = HDBSCAN(min_cluster_size=least, copy=True).fit(np.asarray(points, np.float64))
    found = fitted.labels_.astype(np.int64)
    names = [
        _name(place, found == place, classes, labels, texts) for place in range(found.max() + 1)
    ]
    return Clusters(found, fitted.probabilities_.astype(np.float32), tuple(names))


def _name(
    place: int,
    mask: npt.NDArray[np.bool_],
    classes: Sequence[str],
    labels: Ints | None,
    texts: Sequence[str] | None,
) -> str:
    parts = []
    if labels is not None and len(classes):
        known = labels[mask & (labels >= 0)]
        counts = np.bincount(known, minlength=len(classes))
        best = int(counts.argmax())
        if len(known) and counts[best] >= _SHARE * len(known):
            parts.append(str(classes[best]))
        elif len(known):
            several = np.argsort(-counts, kind="stable")[:2]
            parts.append(" and ".join(str(classes[each]) for each in several if counts[each]))
    if texts is not None:
        parts += [each.word for each in overrepresented(texts, mask, 3) if each.z > 2]
    return ", ".join(parts) or f"group {place + 1}"
