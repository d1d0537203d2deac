"""What importance costs: ``python -m tests.benchmarks.importance``.

Permutation beside ``sklearn.inspection.permutation_importance`` on the same network and shuffles,
in turns; and every way beside the least time for its passes: as many examples through the network
in the best batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from core.attribution.describe import describe
from core.data.dataset import dataset, open_dataset
from core.importance.dependence import interaction
from core.importance.overall import importance
from core.models.catalogue import card, reference
from core.models.loader import load
from core.progress import Meter

ROUNDS = 5
REPEATS = 5


class Peer(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """The network on its encoded inputs, as scikit-learn sees one."""

    def __init__(self, module: Any = None) -> None:
        self.module = module

    def fit(self, inputs: Any, labels: Any) -> Peer:
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, inputs: Any) -> Any:
        with torch.no_grad():
            return self.module(torch.from_numpy(inputs)).double().softmax(dim=1).numpy()


def taken(way: Callable[[], object]) -> float:
    """Seconds of this process's own: a busy neighbour does not count."""
    begun = time.process_time()
    way()
    return time.process_time() - begun


def beside_scikit_learn() -> None:
    model, data = load(reference("tabular_mlp")), dataset(card("tabular_mlp"))
    batch = model.adapter.encode(data.examples(range(len(data))), model)
    inputs = np.ascontiguousarray(batch.features[..., 0].numpy())
    asked = {
        "data": asdict(data.ref),
        "way": "permutation",
        "settings": {"repeats": REPEATS, "limit": 1_000},
    }
    labels = data.labels
    ours = importance(model, (), asked, 0, Meter())
    with model.exclusive() as module:
        peer = Peer(module).fit(inputs, labels)

        def theirs() -> Any:
            return permutation_importance(
                peer, inputs, labels, scoring="neg_log_loss", n_repeats=REPEATS, random_state=0
            )

        off = np.abs(theirs().importances.T - ours.seeds).max()
        pairs = [
            (taken(lambda: importance(model, (), asked, 0, Meter())), taken(theirs))
            for _ in range(ROUNDS)
        ]
    mine, other = (median(pair[place] for pair in pairs) for place in (0, 1))
    print(
        f"permutation of {inputs.shape[1]} columns × {REPEATS} × {len(data)} rows, read and all: "
        f"{mine * 1e3:.0f} ms, scikit-learn {other * 1e3:.0f} ms, {mine / other:.2f} ×; largest "
        f"difference {off:.1e}"
    )


def beside_the_floor(name: str, way: str, settings: dict[str, int]) -> None:
    model, data = load(reference(name)), dataset(card(name))
    architecture = describe(model)
    meters: list[Meter] = []

    def once() -> None:
        meters.append(Meter())
        asked = {"data": asdict(data.ref), "way": way, "settings": settings}
        importance(model, (), asked, 0, meters[-1])

    once()
    typical = model.adapter.typical(model)
    size = architecture.batch_size

    def pass_() -> None:
        repeated = [
            each.repeat(size, *[1] * (each.ndim - 1))
            for each in (typical.features, *typical.context)
        ]
        with model.exclusive() as module, torch.no_grad():
            model.adapter.logits(module, *repeated)

    reading = min(taken(lambda: open_dataset(data.ref)) for _ in range(3))
    seconds = min(taken(once) for _ in range(3)) - reading
    floor = min(taken(pass_) for _ in range(20)) / size * meters[-1].done
    print(
        f"{name} {way}: {meters[-1].done:,.0f} passes in {seconds:.2f} s, "
        f"{seconds / floor:.2f} × the floor; finding the data {reading:.2f} s"
    )


def two_columns() -> None:
    model, data = load(reference("tabular_mlp")), dataset(card("tabular_mlp"))
    asked = {"data": asdict(data.ref), "columns": ["worst area", "mean texture"]}
    interaction(model, (), asked, 0, Meter())
    seconds = median(taken(lambda: interaction(model, (), asked, 0, Meter())) for _ in range(3))
    print(f"interaction of two columns with Friedman's H: {seconds * 1e3:.0f} ms")


def main() -> None:
    beside_scikit_learn()
    beside_the_floor("digits_cnn", "permutation", {"limit": 60, "repeats": 2})
    beside_the_floor("fashion_vit", "ablation", {"limit": 40})
    beside_the_floor("text_rnn", "permutation", {"limit": 100, "repeats": 2})
    two_columns()


if __name__ == "__main__":
    main()
