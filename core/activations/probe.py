"""Where the classes become separable: linear probes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import BadInput

_PENALTY = 10.0  # keeps layers with more units than examples from learning them by heart


def probe(
    values: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    *,
    folds: int = 5,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Accuracy of a linear classifier on each held-out fold, float64 ``[fold]``.

    Ridge regression on the classes (scikit-learn's ``RidgeClassifier``) from standardised
    activations ``[example, unit]``, learned without the fold; folds are stratified and drawn by
    ``seed``. ``labels`` int64 ``[example]``.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = np.asarray(values, np.float64)
    linear = make_pipeline(StandardScaler(), RidgeClassifier(alpha=_PENALTY))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return np.asarray(cross_val_score(linear, data, labels, cv=parts), np.float64)


def usable(
    labels: npt.NDArray[np.int64] | None, folds: int, wanted: tuple[int, ...] = ()
) -> npt.NDArray[np.int64]:
    """Rows of the examples that can be probed: those of ``wanted`` classes, or of every class that
    has at least ``folds`` examples.

    Raises ``BadInput`` when fewer than two classes are left.
    """
    if labels is None:
        raise BadInput("These data have no labels, so no class can be told apart.", "Label them.")
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    enough = [
        int(each)
        for each, count in zip(known, counts, strict=True)
        if count >= folds and (not wanted or each in wanted)
    ]
    if len(enough) < 2:
        raise BadInput(
            f"Fewer than two classes have {folds} examples, so none can be told apart.",
            "Take more data.",
        )
    rows: npt.NDArray[np.int64] = np.flatnonzero(np.isin(labels, enough))
    return rows
