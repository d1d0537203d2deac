"""Permutation, ablation and Shapley sampling of all examples at once, by Captum."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import FeatureAblation, FeaturePermutation, ShapleyValueSampling
from torch import Tensor, nn

from core.importance.judged import Judged
from core.importance.parts import Parts
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Value

Floats = npt.NDArray[np.float64]


def orders(count: int, repeats: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """``repeats`` shuffles of ``count`` examples, one after the other; the same for every feature,
    so that features are compared under the same luck. They are those that
    ``sklearn.inspection.permutation_importance`` draws with ``random_state=seed``.
    """
    first = np.random.RandomState(seed % 2**32).randint(np.iinfo(np.int32).max + 1)
    random = np.random.RandomState(first)
    order, taken = np.arange(count), np.arange(count)
    found = []
    for _ in range(repeats):
        random.shuffle(order)
        taken = taken[order]  # it shuffles what the last repeat left
        found.append(taken)
    return found


def permuted(
    model: LoadedModel,
    batch: Batch,
    parts: Parts,
    judged: Callable[[nn.Module], Judged],
    repeats: int,
    seed: int,
) -> Floats:
    """How far the measure of each example falls when a feature is taken from another example:
    float64 ``[seed, example, feature]``. Captum's ``FeaturePermutation`` with the shuffles of
    ``orders``; scikit-learn's function knows neither groups nor pictures, nor single examples, nor
    a way to stop it.
    """
    found = []
    for order in orders(len(batch), repeats, seed):
        index = torch.from_numpy(order).to(batch.features.device)

        def moved(features: Tensor, mask: Tensor, index: Tensor = index) -> Tensor:
            return torch.where(mask, features[index], features)

        with model.exclusive(seed) as module, torch.no_grad():
            values = FeaturePermutation(judged(module), perm_func=moved).attribute(
                batch.features, feature_mask=parts.mask
            )
        found.append(_by_part(values, parts, model.adapter.depth))
    return np.stack(found)


def replaced(
    model: LoadedModel,
    batch: Batch,
    parts: Parts,
    judged: Callable[[nn.Module], Judged],
    baseline: str,
    settings: Mapping[str, Value],
    seed: int,
) -> Floats:
    """What each feature adds to the score against the baseline: float64
    ``[seed, example, feature]``, by Captum's ``FeatureAblation``, or with ``n_samples`` in the
    settings by ``ShapleyValueSampling``, once per seed.
    """
    found = []
    for repeat in range(int(settings.get("repeats", 1))):
        start = model.adapter.baseline(batch, baseline, seed + repeat, None)
        with model.exclusive(seed + repeat) as module, torch.no_grad():
            if "n_samples" in settings:
                values = ShapleyValueSampling(judged(module)).attribute(
                    batch.features,
                    baselines=start,
                    feature_mask=parts.mask,
                    n_samples=int(settings["n_samples"]),
                )
            else:
                values = FeatureAblation(judged(module)).attribute(
                    batch.features, baselines=start, feature_mask=parts.mask
                )
        found.append(_by_part(values, parts, model.adapter.depth))
    return np.stack(found)


def _by_part(values: Tensor, parts: Parts, depth: int) -> Floats:
    """One number per example and feature: Captum gives all inputs of a feature the same one."""
    flat = values.select(depth, 0).flatten(1)
    ids = torch.from_numpy(parts.ids.reshape(-1)).to(flat.device)
    first = torch.stack([(ids == each).nonzero()[0, 0] for each in range(len(parts.names))])
    found: Floats = flat[:, first].float().cpu().numpy().astype(np.float64)
    return found
