"""Two models that write, over the same texts. Imports no torch: pages and commands ask it too."""

from __future__ import annotations

import numpy as np

from core.errors import BadInput
from core.evaluation.metrics import resampled
from core.results.comparison import WrittenContrast
from core.results.evaluation import Written

_TIMES = 1_000


def contrasted(first: Written, second: Written) -> WrittenContrast:
    """What both say of each text and how likely they find its own continuation, those first where
    that differs most. Nats per token can only be compared between models with the same tokens.

    Raises ``BadInput`` when they were not evaluated over the same texts.
    """
    one, other = np.argsort(first.rows), np.argsort(second.rows)
    rows = first.rows[one]
    if first.data != second.data or not np.array_equal(rows, second.rows[other]):
        raise BadInput(
            f"'{first.model}' was evaluated over {first.examples:,} texts of {first.data}, "
            f"'{second.model}' over {second.examples:,} of {second.data}: these are other texts.",
            "Evaluate both over the same data.",
        )
    loss = np.stack([first.loss[one], second.loss[other]], axis=1)
    gaps = loss[:, 0] - loss[:, 1]
    weights = resampled(len(gaps), _TIMES, 0)
    draws = weights @ gaps / weights.sum(axis=1)
    low, high = np.percentile(draws[1:], (2.5, 97.5))
    order = np.argsort(-np.abs(gaps), kind="stable")
    said = [
        tuple(each.said[place] for place in places[order]) if each.said else ()
        for each, places in ((first, one), (second, other))
    ]
    return WrittenContrast(
        first,
        second,
        np.array([draws[0], low, high]),
        _p(gaps),
        rows[order],
        loss[order],
        tuple(first.expected[place] for place in one[order]),
        (said[0], said[1]),
    )


def _p(gaps: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Of Wilcoxon's signed-rank test (1945); 1 where nothing differs."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gaps).pvalue) if gaps.any() else 1.0
