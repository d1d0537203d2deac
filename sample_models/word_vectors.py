"""Vectors for words from the company they keep: a start for an embedding with few labels.

Positive pointwise mutual information of words within a few places of each other, cut down to its
largest singular vectors (Levy, Goldberg and Dagan, "Improving distributional similarity with
lessons learned from word embeddings", TACL 2015). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
NEAR = 5  # words to either side that count as company, each by 1 ÷ its distance


def word_vectors(texts: Sequence[Sequence[int]], size: int, width: int) -> Vectors:
    """Vectors ``[word, width]`` for words 0 … ``size`` - 1, given texts as lists of words.

    Overall standard deviation is 1; words that do not occur have the vector 0.
    """
    from scipy.sparse import coo_matrix
    from sklearn.utils.extmath import randomized_svd

    rows, columns, weights = [], [], []
    for text in map(np.asarray, texts):
        for distance in range(1, min(NEAR, len(text) - 1) + 1):
            rows.append(text[:-distance])
            columns.append(text[distance:])
            weights.append(np.full(len(text) - distance, 1 / distance))
    if not rows:
        return np.zeros((size, width), np.float32)
    places = (np.concatenate(rows), np.concatenate(columns))
    counts = coo_matrix((np.concatenate(weights), places), shape=(size, size)).tocsr()
    counts = (counts + counts.T).tocoo()
    counts.sum_duplicates()
    total = np.bincount(counts.row, counts.data, size)
    context = total**0.75  # rare company counts a little more
    context /= context.sum()
    information = np.log(counts.data / (total[counts.row] * context[counts.col]))
    positive = coo_matrix(
        (np.maximum(information, 0), (counts.row, counts.col)), shape=(size, size)
    ).tocsr()
    left, strength, _ = randomized_svd(positive, min(width, size - 1), random_state=0)
    vectors = np.zeros((size, width), np.float32)
    vectors[:, : len(strength)] = left * np.sqrt(strength)
    return vectors / max(float(vectors.std()), 1e-12)
