"""What judging costs: ``python -m tests.benchmarks.evaluation``.

All metrics with 300 draws of the bootstrap beside scikit-learn's metrics taken once, in turns; and
what is left of a compressed model's time beside the original.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn import metrics as sk

from core.compression.cost import compression_costs
from core.compression.made import compress
from core.compression.methods import METHODS
from core.evaluation.metrics import measured, resampled
from core.models.catalogue import reference
from core.models.loader import load
from core.progress import Meter

ROUNDS = 7


def taken(way: Callable[[], object]) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def metrics(count: int, classes: int) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, count)
    scores = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)

    def peer() -> Any:
        said = chances.argmax(axis=1)
        return (
            sk.accuracy_score(labels, said),
            sk.precision_recall_fscore_support(labels, said, average="macro"),
            sk.precision_recall_fscore_support(labels, said, average="weighted"),
            sk.log_loss(labels, chances),
            sk.roc_auc_score(labels, chances, multi_class="ovr"),
        )

    pairs = [
        (taken(lambda: measured(labels, chances, resampled(count, 300, 0))), taken(peer))
        for _ in range(ROUNDS)
    ]
    ours, theirs = (median(pair[place] for pair in pairs) for place in (0, 1))
    print(
        f"{count:,} examples, {classes} classes: 301 × all metrics {ours * 1e3:.0f} ms, "
        f"scikit-learn once {theirs * 1e3:.1f} ms, {ours / theirs / 301:.3f} × each"
    )


def compression(name: str) -> None:
    model = load(reference(name))
    with TemporaryDirectory() as root:
        for way in METHODS:
            made = compress(
                model, (), {"steps": [{"method": way.name}], "out": str(Path(root) / way.name)}, 0,
                Meter(),
            )  # fmt: skip
            found = compression_costs(load(reference(made)), (), {}, 0, Meter())
            print(
                f"{name} {way.name}: {found.small.bytes / found.original.bytes:.2f} × the bytes, "
                f"{found.speedup:.2f} × as fast at one example, "
                f"{found.small.throughput / found.original.throughput:.2f} × the throughput"
            )


def main() -> None:
    metrics(1_000, 10)
    metrics(10_000, 10)
    for name in ("digits_cnn", "sentiment"):
        compression(name)


if __name__ == "__main__":
    main()
