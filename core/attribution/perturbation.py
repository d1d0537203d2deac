"""Methods that change the input and watch the score: they fit any model. Sampling by Captum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import KernelShap, Lime, ShapleyValueSampling
from torch import Tensor

from core.attribution.problem import Outcome, Problem
from core.attribution.window import window_pixels


def occlusion(problem: Problem) -> Outcome:
    """Fall of the score when a sliding window is replaced by the baseline, shared among the pixels
    of the window; where windows overlap, the mean. Zeiler & Fergus 2013, arXiv 1311.2901.
    """
    height, width = problem.features.shape[2:]
    window, stride = window_pixels(problem.settings, height, width)
    rows = _spans(height, window, stride, problem.features.device)
    columns = _spans(width, window, stride, problem.features.device)

    def place(chosen: Tensor) -> Tensor:
        row, column = rows[chosen // len(columns)], columns[chosen % len(columns)]
        return (row[:, :, None] & column[:, None, :])[:, None]

    falls = _falls(problem, len(rows) * len(columns), place).reshape(len(rows), len(columns))
    total = rows.float().T @ falls @ columns.float()
    times = rows.sum(0)[:, None] * columns.sum(0)
    return Outcome((total / times / window**2)[None, None])


def feature_ablation(problem: Problem) -> Outcome:
    """Fall of the score when one segment is replaced by the baseline, shared among its pixels."""
    segments = problem.segments()
    sizes = torch.bincount(segments.flatten())
    falls = _falls(problem, len(sizes), lambda chosen: segments == chosen.reshape(-1, 1, 1, 1))
    return Outcome((falls / sizes)[segments])


def shapley_value_sampling(problem: Problem) -> Outcome:
    """Shapley values of segments from random orders. Castro et al. 2009,
    doi 10.1016/j.cor.2008.04.004; Štrumbelj & Kononenko 2010.
    """
    method, baseline = ShapleyValueSampling(problem.score), problem.baseline()
    values = _per_pixel(
        problem, method, problem.segments(), baseline, n_samples=problem.whole("n_samples")
    )
    return Outcome(values, problem.score_of(baseline))


def kernel_shap(problem: Problem) -> Outcome:
    """Shapley values of segments by weighted regression, against one fixed baseline.
    Lundberg & Lee 2017, arXiv 1705.07874.
    """
    method, baseline = KernelShap(problem.score), problem.baseline()
    values = _per_pixel(
        problem, method, problem.segments(), baseline, n_samples=problem.whole("n_samples")
    )
    return Outcome(values, problem.score_of(baseline))


def lime(problem: Problem) -> Outcome:
    """Weights of a sparse linear model fitted around the input. Ribeiro et al. 2016,
    arXiv 1602.04938.
    """
    method = Lime(problem.score)
    values = _per_pixel(
        problem,
        method,
        problem.segments(),
        problem.baseline(),
        n_samples=problem.whole("n_samples"),
    )
    return Outcome(values)


def _spans(side: int, window: int, stride: int, device: torch.device) -> Tensor:
    """Which pixels of a side each position of the window covers, ``[position, pixel]``; the last
    is cut off at the edge, as Captum does.
    """
    starts = torch.arange(0, max(side - window, 0) + stride, stride, device=device)[:, None]
    pixels = torch.arange(side, device=device)
    return (pixels >= starts) & (pixels < starts + window)


def _falls(problem: Problem, count: int, place: Callable[[Tensor], Tensor]) -> Tensor:
    """Fall of the score, ``[region]``, when one of ``count`` regions is replaced by the baseline.

    ``place(chosen [example])`` says where regions lie, as booleans ``[example, 1, row, column]``.
    Equal to Captum's Occlusion and FeatureAblation, which go through the regions one at a time and
    spend half as long on their masks as a small network on its answers.
    """
    features, baseline = problem.features, problem.baseline()
    regions = torch.arange(count, device=features.device).split(problem.batch_size)
    whole = problem.score_of(features)
    scores = [
        problem.score_of(torch.where(place(chosen), baseline, features)) for chosen in regions
    ]
    return whole - torch.cat(scores)


def _per_pixel(
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
    return shares.sum(dim=1, keepdim=True)
