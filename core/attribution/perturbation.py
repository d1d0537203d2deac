"""Methods that change the input and watch the score, by Captum: they fit any model."""

from __future__ import annotations

import math
from typing import Any

import torch
from captum.attr import FeatureAblation, KernelShap, Lime, Occlusion, ShapleyValueSampling
from torch import Tensor

from core.attribution.problem import Outcome, Problem
from core.attribution.window import sliding_window


def occlusion(problem: Problem) -> Outcome:
    """Fall of the score when a sliding window is replaced by the baseline, shared among the parts
    of the window; where windows overlap, the mean. Zeiler & Fergus 2013, arXiv 1311.2901.
    """
    axis, depth = problem.batch.axes[0], problem.model.adapter.depth
    window, size = sliding_window(problem.settings, axis), problem.features.shape[depth]
    with torch.no_grad():
        values = Occlusion(problem.score).attribute(
            problem.features,
            sliding_window_shapes=_with(window.sides, depth, size),
            strides=_with(window.strides, depth, size),
            baselines=problem.baseline(),
            perturbations_per_eval=problem.batch_size,
        )
    return Outcome(values.narrow(depth, 0, 1) / math.prod(window.sides))


def feature_ablation(problem: Problem) -> Outcome:
    """Fall of the score when one segment is replaced by the baseline, shared among its parts."""
    method, segments = FeatureAblation(problem.score), problem.segments()
    return Outcome(_per_part(problem, method, segments, problem.baseline()))


def shapley_value_sampling(problem: Problem) -> Outcome:
    """Shapley values of segments from random orders. Castro et al. 2009,
    doi 10.1016/j.cor.2008.04.004; Štrumbelj & Kononenko 2010.
    """
    method, baseline = ShapleyValueSampling(problem.score), problem.baseline()
    values = _per_part(
        problem, method, problem.segments(), baseline, n_samples=problem.whole("n_samples")
    )
    return Outcome(values, problem.score_of(baseline))


def kernel_shap(problem: Problem) -> Outcome:
    """Shapley values of segments by weighted regression, against one fixed baseline.
    Lundberg & Lee 2017, arXiv 1705.07874.
    """
    method, baseline = KernelShap(problem.score), problem.baseline()
    values = _per_part(
        problem, method, problem.segments(), baseline, n_samples=problem.whole("n_samples")
    )
    return Outcome(values, problem.score_of(baseline))


def lime(problem: Problem) -> Outcome:
    """Weights of a sparse linear model fitted around the input. Ribeiro et al. 2016,
    arXiv 1602.04938.
    """
    method = Lime(problem.score)
    values = _per_part(
        problem,
        method,
        problem.segments(),
        problem.baseline(),
        n_samples=problem.whole("n_samples"),
    )
    return Outcome(values)


def _per_part(
    problem: Problem, method: Any, segments: Tensor, baseline: Tensor, **settings: Any
) -> Tensor:
    """Captum gives every feature of a segment the segment's whole value; here each gets its share,
    so that a map sums to the same total as the segments do.
    """
    with torch.no_grad():
        values = method.attribute(
            problem.features,
            baselines=baseline,
            feature_mask=segments,
            perturbations_per_eval=problem.batch_size,
            **settings,
        )
    ids = segments.expand_as(values).flatten()
    shares: Tensor = values / torch.bincount(ids)[ids].reshape(values.shape)
    return shares.sum(dim=problem.model.adapter.depth, keepdim=True)


def _with(sides: tuple[int, ...], depth: int, size: int) -> tuple[int, ...]:
    """The shape of a window over one example's features, all of ``depth`` included."""
    return (*sides[: depth - 1], size, *sides[depth - 1 :])
