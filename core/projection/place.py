"""New examples in a finished map."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import pooled
from core.activations.capture import capture
from core.data.dataset import Dataset
from core.errors import BadInput, NotValid
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.projection.compute import captured, projected
from core.projection.linear import components
from core.projection.neighbours import nearest
from core.projection.reducers import ATTRIBUTIONS
from core.projection.space import space
from core.provenance import Provenance
from core.results.projection import Placement, Projection
from core.tasks import Example

Floats = npt.NDArray[np.float32]
_NEAREST = 15


def place(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Placement:
    """The verb ``place``: where ``inputs`` lie in the map that the verb ``project`` makes of the
    same ``parameters``.

    Raises ``NotValid`` for a map of attributions, and as ``project`` does.
    """
    started = time.perf_counter()
    layer = str(parameters.get("layer", ""))
    if layer == ATTRIBUTIONS:
        raise NotValid("New examples cannot be placed in a map of attributions.", "Use a layer.")
    known = captured(str(parameters.get("capture", "")), layer)
    if known.weights != model.ref.fingerprint:
        raise BadInput("This capture is of other weights than the model has now.", "Capture again.")
    made = projected(
        known,
        str(parameters.get("method", "pca")),
        int(parameters.get("dim", 2)),
        parameters.get("settings", {}),
        seed,
        meter,
        judged=False,
    )
    name = ", ".join(example.name for example in inputs)
    asked = Dataset(name, [each.name for each in inputs], inputs.__getitem__, inputs[0].sha256)
    with tempfile.TemporaryDirectory() as folder:
        found = capture(
            model, asked, Path(folder) / "new", [layer], pool="mean", seed=seed, meter=meter
        )
        new = pooled(found, layer)
    points, strangeness = placed(known.values, new, made, meter)
    return Placement(
        points,
        tuple(example.name for example in inputs),
        known.source,
        strangeness,
        (),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            tuple(example.sha256 for example in inputs),
            "place",
            {"source": known.source, "method": made.method, "dim": made.points.shape[1]},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def placed(
    known: Floats, new: Floats, made: Projection, meter: Meter | None = None
) -> tuple[Floats, Floats]:
    """Places float32 ``[new, dim]`` and strangeness float32 ``[new]`` of the vectors
    ``new [new, unit]`` among ``known [example, unit]``.

    By PCA it is the exact shadow. In other maps an example lies in the mean place of its 15 nearest
    known ones, weighted by one over the squared distance, so that a known example falls on itself;
    far from all of them its place means little, which ``strangeness`` tells: the distance to the
    nearest known example over the median of theirs.
    """
    meter = meter or Meter()
    if made.parameters.get("metric") == "cosine":
        known, new = (
            each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-30)
            for each in (known, new)
        )
    k = min(_NEAREST, len(known))
    indices, distances = nearest(known, k, meter, new)
    apart = float(np.median(nearest(known, 1, meter)[1]))
    strangeness = distances[:, 0] / max(apart, 1e-30)
    if made.method == "pca":
        return _shadow(known, new, made.points.shape[1]), strangeness.astype(np.float32)
    near = 1e-3 * max(apart, 1e-30)
    weights = 1 / np.maximum(distances, near).astype(np.float64) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    points = (made.points[indices] * weights[:, :, None]).sum(axis=1)
    return points.astype(np.float32), strangeness.astype(np.float32)


def _shadow(known: Floats, new: Floats, dim: int) -> Floats:
    room = space(known)
    _, _, axes = components(room.values, dim)
    centre = known.mean(axis=0, dtype=np.float64)
    scale = np.abs(known - centre.astype(np.float32)).max()
    shown = ((new - centre) / scale) @ axes.T.astype(np.float64)
    return np.asarray(shown, np.float32)
