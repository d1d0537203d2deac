"""What looking into layers costs: ``python -m tests.benchmarks.layers``.

Each beside the floor or the peer in the same run, in turns, medians of ratios: the conductance of
units and what drives one beside Captum called by hand, an answer without a unit and the answer on
the way beside plain forwards, the gradient of every layer beside one pass forwards and back, and
the statistics of a capture beside reading it once and beside scikit-learn's cross-validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from captum.attr import LayerConductance, NeuronIntegratedGradients
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core.activations.ablate import ablate_units
from core.activations.behaviour import pooled
from core.activations.capture import capture
from core.activations.flow import gradient_flow
from core.activations.lens import logit_lens
from core.activations.verbs import insides, layer_behaviour, layer_probes
from core.attribution.units import neuron_attribution, unit_attribution
from core.data.dataset import Dataset, dataset
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.progress import Meter
from core.results.activations import open_capture

ROUNDS = 9
STEPS = 20
LAYERS = {"digits_cnn": "conv2", "fashion_vit": "blocks.1.norm2"}


def compare(title: str, ours: Callable[[], object], other: Callable[[], object]) -> None:
    """Print our time over the other's, in turns after one of each."""
    ours()
    other()
    pairs = []
    for _ in range(ROUNDS):
        taken = []
        for way in (ours, other):
            begun = time.perf_counter()
            way()
            taken.append(time.perf_counter() - begun)
        pairs.append(taken)
    ratios = sorted(one / two for one, two in pairs)
    print(
        f"{title}: {median(pair[0] for pair in pairs) * 1e3:.1f} ms, {median(ratios):.2f} × "
        f"({ratios[0]:.2f}–{ratios[-1]:.2f})",
        flush=True,
    )


def captum(model: LoadedModel, data: Dataset, layer: str, unit: int | None) -> object:
    """Conductance of a layer, or what drives one of its units, by Captum alone."""
    batch = model.adapter.encode([data[0]], model)
    with model.exclusive() as module:
        given = {
            "baselines": model.adapter.baseline(batch, model.adapter.baselines[0], 0, None),
            "n_steps": STEPS,
        }
        features = batch.features.clone().requires_grad_()
        part = module.get_submodule(layer)
        if unit is None:
            target = int(model.adapter.logits(module, batch.features, *batch.context).argmax())
            return LayerConductance(module, part).attribute(features, target=target, **given)
        chosen = lambda out: out.movedim(1, 0)[unit].flatten(1).mean(1)  # noqa: E731
        return NeuronIntegratedGradients(module, part).attribute(features, chosen, **given)


def forwards(model: LoadedModel, data: Dataset, times: int) -> None:
    for _ in range(times):
        batch = model.adapter.encode([data[0]], model)
        with model.exclusive() as module, torch.no_grad():
            model.adapter.logits(module, batch.features, *batch.context)


def there_and_back(model: LoadedModel, data: Dataset, count: int) -> None:
    """One pass forwards and back over ``count`` examples."""
    with model.exclusive() as module:
        wanted = [(each, each.requires_grad) for each in module.parameters()]
        for parameter, _ in wanted:
            parameter.requires_grad_(True)
        for _, examples in data.limited(count).batches(count):
            for rows, batch in model.adapter.batches(examples, model):
                logits = model.adapter.logits(module, batch.features, *batch.context)
                labels = torch.as_tensor([data.labels[row] for row in rows])
                torch.nn.functional.cross_entropy(logits, labels).backward()
        for parameter, was in wanted:
            parameter.requires_grad_(was)
            parameter.grad = None


def units(name: str, layer: str) -> None:
    model, data = load(reference(name)), dataset(card(name))
    asked = {"layer": layer, "n_steps": STEPS}
    compare(
        f"{name}, conductance of {layer}, {STEPS} steps, beside Captum",
        lambda: unit_attribution(model, (data[0],), asked, 0, Meter()),
        lambda: captum(model, data, layer, None),
    )
    if name == "digits_cnn":
        compare(
            f"{name}, what drives unit 3 of {layer}, beside Captum",
            lambda: neuron_attribution(model, (data[0],), {**asked, "unit": 3}, 0, Meter()),
            lambda: captum(model, data, layer, 3),
        )
    compare(
        f"{name}, activations of {layer}, beside a forward",
        lambda: insides(model, (data[0],), {"layers": [layer]}, 0, Meter()),
        lambda: forwards(model, data, 1),
    )
    compare(
        f"{name}, an answer without a unit, beside a forward",
        lambda: ablate_units(model, (data[0],), {"cut": [[layer, 3]]}, 0, Meter()),
        lambda: forwards(model, data, 1),
    )


def lens(name: str) -> None:
    model, data = load(reference(name)), dataset(card(name))
    (found,) = logit_lens(model, (data[0],), {}, 0, Meter())
    times = len(found.layers)
    compare(
        f"{name}, the answer on the way through {times} blocks, beside {times} forwards",
        lambda: logit_lens(model, (data[0],), {}, 0, Meter()),
        lambda: forwards(model, data, times),
    )


def statistics(root: Path) -> None:
    model, data = load(reference("digits_cnn")), dataset(card("digits_cnn"))
    capture(model, data, root / "digits")
    made = open_capture(root / "digits")
    asked = {"capture": str(made.folder)}
    compare(
        f"digits_cnn, statistics and CKA of {len(made.layers)} layers × {len(made)} examples, "
        "beside reading them once",
        lambda: layer_behaviour(model, (), asked, 0, Meter()),
        lambda: [np.asarray(made.layer(name), np.float32).mean() for name in made.names],
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))

    def peer() -> None:
        for name in made.names:
            cross_val_score(linear, pooled(made, name), made.labels, cv=folds)

    compare(
        f"digits_cnn, probes of {len(made.layers)} layers, beside scikit-learn's logistic "
        "regression",
        lambda: layer_probes(model, (), asked, 0, Meter()),
        peer,
    )
    compare(
        "digits_cnn, the gradient of every layer over 64 examples, beside one pass and back",
        lambda: gradient_flow(model, (), asked, 0, Meter()),
        lambda: there_and_back(model, data, 64),
    )


def main() -> None:
    for name, layer in LAYERS.items():
        units(name, layer)
    for name in ("fashion_vit", "tiny_lm", "translator"):
        lens(name)
    with TemporaryDirectory() as temporary:
        statistics(Path(temporary))


if __name__ == "__main__":
    main()
