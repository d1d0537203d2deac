"""Concept activation vectors and what they say: linear classifiers, scores, a test.

Everything here works on arrays ``[example, number]`` of one layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
HELD_OUT = 1 / 3
_PENALTY = 1.0
_NOTHING = 1e-9  # of the largest square: what is left of the last direction after centring


@dataclass(frozen=True)
class Space:
    """The activations of one layer, and the gradients of a score there, in few dimensions.

    A linear classifier with an L2 penalty is a sum of the examples it learned from, so nothing is
    lost by looking only at what lies in the span of all examples: ``values`` ``[example,
    dimension]``, ``gradients`` ``[member, dimension]``. Both are divided by one scale (the root
    mean square length of the centred values), so that a penalty means the same in every layer;
    signs of derivatives do not change by it.
    """

    values: Floats
    gradients: Floats

    @classmethod
    def of(cls, values: npt.NDArray[np.floating], gradients: npt.NDArray[np.floating]) -> Space:
        """From activations ``[example, number]`` and gradients ``[member, number]``."""
        centred = np.asarray(values, np.float64) - values.mean(axis=0, dtype=np.float64)
        scale = float(np.sqrt((centred**2).sum(axis=1).mean())) or 1.0
        slopes = np.asarray(gradients, np.float64)
        if centred.shape[1] > len(centred):
            squares, turned = np.linalg.eigh(centred @ centred.T)
            kept = squares > _NOTHING * squares[-1]
            lengths = np.sqrt(squares[kept])
            turned = turned[:, kept]
            return cls(turned * lengths / scale, slopes @ (centred.T @ (turned / lengths)))
        return cls(centred / scale, slopes)

    def vector(self, concept: Rows, random: Rows, seed: int) -> tuple[Floats, float]:
        """The direction from ``random`` examples to those of a ``concept``, of length 1, and how
        often it tells them apart among the third of both that it did not learn from.

        Logistic regression with an L2 penalty (scikit-learn).
        """
        from sklearn.linear_model import LogisticRegression

        generator = np.random.default_rng(seed)
        learned, held = [], []
        for rows in (random, concept):
            order = generator.permutation(rows)
            count = max(1, round(len(order) * HELD_OUT))
            held.append(order[:count])
            learned.append(order[count:])
        classifier = LogisticRegression(C=_PENALTY, max_iter=200, tol=1e-3)
        classifier.fit(self.values[np.concatenate(learned)], _labels(learned))
        direction = np.asarray(classifier.coef_[0], np.float64)
        said = [self.values[rows] @ direction + classifier.intercept_[0] > 0 for rows in held]
        shares = (~said[0]).mean(), said[1].mean()
        length = float(np.linalg.norm(direction)) or 1.0
        return direction / length, float(np.mean(shares))

    def along(self, direction: Floats) -> tuple[float, float]:
        """What a step along a direction does to the score of the members: the share of them whose
        score rises (TCAV: Kim et al. 2018, equation 2, arXiv 1711.11279; where it neither rises nor
        falls counts half), and the mean derivative over the mean length of a gradient, -1 to 1.
        """
        slopes = self.gradients @ direction
        length = float(np.linalg.norm(self.gradients, axis=1).mean())
        rising = float((slopes > 0).mean() + 0.5 * (slopes == 0).mean())
        return rising, float(slopes.mean()) / length if length else 0.0


def unusual(value: float, random: Floats) -> float:
    """How likely it is that one more draw is as far from the mean of ``random`` ``[draw]`` as
    ``value``: two-sided.

    The t test of one case against a sample of controls (Crawford and Howell 1998, doi
    10.1076/clin.12.4.482.7241). The repeats of one concept share its examples, so they are one
    observation, not many: were they tested as many, a set of random examples would nearly always
    pass as a concept.
    """
    from scipy.stats import t

    count = len(random)
    away, spread = abs(value - float(random.mean())), float(random.std(ddof=1))
    if spread < 1e-12:
        return float(away < 1e-9)
    return float(2 * t.sf(away / (spread * np.sqrt(1 + 1 / count)), count - 1))


def reach(alpha: float, draws: int) -> float:
    """From how many standard deviations of the random sets on ``unusual`` is below ``alpha``."""
    from scipy.stats import t

    return float(t.ppf(1 - alpha / 2, draws - 1) * np.sqrt(1 + 1 / draws))


def _labels(parts: list[Rows]) -> Rows:
    return np.repeat([0, 1], [len(part) for part in parts])
