"""How alike two layers see the same examples: linear CKA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.errors import BadInput

Floats = npt.NDArray[np.float64]


def gram(values: npt.NDArray[np.floating]) -> Floats:
    """The centred products of examples ``[example, example]`` scaled to length 1, of activations
    ``[example, unit]``; all zero where every example has the same activations.
    """
    data = np.asarray(values, np.float64)
    data = data - data.mean(axis=0)
    products = data @ data.T
    length = np.linalg.norm(products)
    scale = (np.asarray(values, np.float64) ** 2).sum()
    found: Floats = products / length if length > 1e-12 * max(scale, 1e-300) else products * 0
    return found


def linear_cka(
    ours: Sequence[npt.NDArray[np.floating]], theirs: Sequence[npt.NDArray[np.floating]]
) -> Floats:
    """Linear CKA of every pair of layers, float64 ``[ours, theirs]`` from 0 to 1; NaN where a layer
    answers the same to all. Kornblith et al. 2019, arXiv 1905.00414.

    Each layer is ``[example, unit]`` over the same examples. Raises ``BadInput`` when their numbers
    differ, or there are fewer than three.
    """
    counts = {len(each) for each in (*ours, *theirs)}
    if len(counts) > 1:
        raise BadInput(
            f"The layers were captured over {min(counts)} and {max(counts)} examples.",
            "Capture both over the same data.",
        )
    if counts and min(counts) < 3:
        raise BadInput(f"{min(counts)} examples are too few to compare layers.", "Take 3 or more.")
    first = [gram(each).ravel() for each in ours]
    second = first if ours is theirs else [gram(each).ravel() for each in theirs]
    found = np.array(
        [[float(a @ b) if a.any() and b.any() else np.nan for b in second] for a in first]
    )
    return np.asarray(np.clip(found, 0, 1), np.float64)
