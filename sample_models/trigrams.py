"""A 3-gram language model with interpolated Kneser–Ney smoothing: what counting alone can do.

After Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999),
with one discount for all orders. Imports nothing beyond Python.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from sample_models.subwords import START

Trigram = tuple[int, int, int]


class Trigrams:
    """Learned from rows of pieces, over a vocabulary of ``size``. The first piece of a row is given
    and never predicted.
    """

    def __init__(self, rows: Iterable[Sequence[int]], size: int, discount: float) -> None:
        self._size, self._discount = size, discount
        threes = Counter(trigram for row in rows for trigram in _trigrams(row))
        twos = Counter((b, c) for _, b, c in threes)  # in how many contexts, not how often
        ones = Counter(c for _, c in twos)
        self._orders = [
            _Order({((a, b), c): count for (a, b, c), count in threes.items()}),
            _Order({((b,), c): count for (b, c), count in twos.items()}),
            _Order({((), c): count for c, count in ones.items()}),
        ]

    def chance(self, before: tuple[int, int], piece: int) -> float:
        """The probability that ``piece`` follows the two ``before``."""
        found = 1 / self._size
        for order, context in zip(reversed(self._orders), ((), before[1:], before), strict=True):
            total = order.totals[context]
            if total:
                count, different = order.counts.get((context, piece), 0), order.different[context]
                left = self._discount * different / total
                found = max(count - self._discount, 0) / total + left * found
        return found

    def perplexity(self, rows: Iterable[Sequence[int]]) -> float:
        """exp of the mean of -log chance per piece, the first of each row not counted."""
        logs = [math.log(self.chance((a, b), c)) for row in rows for a, b, c in _trigrams(row)]
        return math.exp(-sum(logs) / len(logs))


class _Order:
    """Counts of pieces after contexts of one length."""

    def __init__(self, counts: dict[tuple[tuple[int, ...], int], int]) -> None:
        self.counts = counts
        self.totals: Counter[tuple[int, ...]] = Counter()
        self.different: Counter[tuple[int, ...]] = Counter()
        for (context, _), count in counts.items():
            self.totals[context] += count
            self.different[context] += 1


def _trigrams(row: Sequence[int]) -> Iterable[Trigram]:
    return zip([START, *row], row, row[1:], strict=False)
