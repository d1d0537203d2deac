"""What a surrogate costs: ``python -m tests.benchmarks.surrogate``.

The whole of it (answers captured, examples described, tree fitted, tested and stored) beside the
least that there is to do, batched predictions and scikit-learn's fit of a ready table, in turns;
and the search for changes of a row beside one batched pass of as many rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sklearn.tree import DecisionTreeClassifier

from core.activations.capture import capture
from core.counterfactual.find import counterfactual
from core.data.dataset import dataset
from core.models.catalogue import reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.progress import Meter
from core.surrogate.declared import basis
from core.surrogate.features import described
from core.surrogate.fit import surrogate

ROUNDS = 5
_TOGETHER = 256


def taken(way: Callable[[], object]) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def answers(model: LoadedModel) -> None:
    """Every example of the data through the network, the best that its adapter can batch them."""
    for _, examples in dataset(model.card).batches(_TOGETHER):
        for _, batch in model.adapter.batches(examples, model):
            with model.exclusive() as module, torch.no_grad():
                model.adapter.logits(module, batch.features, *batch.context).argmax(dim=1).cpu()


def trees(name: str) -> None:
    model = load(reference(name))
    data = dataset(model.card)
    with TemporaryDirectory() as root:
        found = capture(model, data, Path(root) / "known")
        said = np.asarray(found.predictions)
        on = basis("", model.adapter.axis)
        rows = np.arange(len(found))
        table = described(model, found, on, rows, (), 7, Meter()).values
        asked = {"capture": str(found.folder)}
        number = iter(range(10**6))

        def whole() -> None:
            one = capture(model, data, Path(root) / str(next(number)))
            model.memo.clear()
            surrogate(model, (), {"capture": str(one.folder)}, 0, Meter())

        def least() -> None:
            answers(model)
            DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=0).fit(table, said)

        whole()
        least()
        times = [
            (taken(whole), taken(lambda: surrogate(model, (), asked, 0, Meter())), taken(least))
            for _ in range(ROUNDS)
        ]
    ours, again, floor = (median(each[place] for each in times) for place in range(3))
    print(
        f"{name}, {len(said):,} examples on {table.shape[1]} {on}: whole {ours * 1e3:.0f} ms, "
        f"{ours / floor:.2f} × predictions and fit ({floor * 1e3:.0f} ms); another depth "
        f"{again * 1e3:.0f} ms, {again / floor:.2f} ×"
    )


def changes(name: str) -> None:
    model = load(reference(name))
    row = dataset(model.card)[0]
    found = counterfactual(model, (row,), {}, 0, Meter())
    batch = model.adapter.encode([row], model).features
    rows = batch.repeat(found.tried, *[1] * (batch.dim() - 1))

    def least() -> None:
        with model.exclusive() as module, torch.no_grad():
            model.adapter.logits(module, rows)

    least()
    times = [
        (taken(lambda: counterfactual(model, (row,), {}, 0, Meter())), taken(least))
        for _ in range(ROUNDS)
    ]
    ours, floor = (median(each[place] for each in times) for place in range(2))
    print(
        f"{name}: {len(found.found)} ways to another answer in {ours * 1e3:.0f} ms, "
        f"{found.tried:,} rows asked; all of them in one pass {floor * 1e3:.1f} ms"
    )


def main() -> None:
    for name in ("tabular_mlp", "text_rnn", "digits_cnn"):
        trees(name)
    for name in ("two_features", "tabular_mlp"):
        changes(name)


if __name__ == "__main__":
    main()
