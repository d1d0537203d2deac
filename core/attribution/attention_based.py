"""Methods that follow attention back to the tokens of the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.attention.capture import Captured, watched
from core.attention.compute import need_attention
from core.attention.flow import Matrix, Step, added, whole
from core.attribution.problem import Outcome, Problem
from core.errors import NotValid
from core.tasks import OTHER_OUTPUT


def attention_rollout(problem: Problem) -> Outcome:
    """How much of each token is in what the score reads, if attention moved content and half of it
    stayed at each layer: sums to 1. Abnar & Zuidema 2020, arXiv 2005.00928.

    Raises ``NotValid`` as ``attention_x_gradient`` does.
    """
    found, gradients = _answered(problem)
    steps = [Step(each.layer.role, _matrix(each.taken[0].mean(dim=0))) for each in found]
    state, sources = whole(steps)
    return _outcome(problem, state, _read(found, gradients, sources))


def attention_x_gradient(problem: Problem) -> Outcome:
    """Relevance that attention adds to each token in what the score reads, layer after layer, where
    a layer's is the mean over heads of (attention × gradient of the score)⁺. Chefer et al. 2021,
    arXiv 2103.15679, equations 5 and 6; cross attention adds up the input's in the same way.

    Raises ``NotValid`` for a network without attention over its tokens, and for the contrast of two
    outputs, which pass the layers one after the other.
    """
    found, gradients = _answered(problem)
    steps = [
        Step(each.layer.role, _matrix((each.taken[0] * gradient[0]).clamp_min(0).mean(dim=0)))
        for each, gradient in zip(found, gradients, strict=True)
    ]
    state, sources = whole(steps, added)
    rows = _read(found, gradients, sources)
    state[range(len(state)), range(len(state))] -= 1  # what a token is before any attention
    return _outcome(problem, state, rows)


def _answered(problem: Problem) -> tuple[list[Captured], Sequence[Tensor]]:
    """The layers of one forward, and the gradient of the score at their weights."""
    if OTHER_OUTPUT in problem.batch.outputs[0]:
        raise NotValid(
            "Attention cannot contrast two outputs: they pass the layers one after the other.",
            "Explain each by itself, or choose another method.",
        )
    known = need_attention(problem.model, problem.seed)
    features = problem.features.detach().clone().requires_grad_()
    with watched(
        problem.score.module, 1, lambda layer, weights: weights, known=known, gradients=True
    ) as found:
        score = problem.score(features)
    weights = [captured.taken for captured in found]
    gradients = torch.autograd.grad(score.sum(), weights, allow_unused=True)
    return found, [
        torch.zeros_like(values) if gradient is None else gradient
        for values, gradient in zip(weights, gradients, strict=True)
    ]


def _read(found: Sequence[Captured], gradients: Sequence[Tensor], sources: int) -> list[int]:
    """The tokens whose last content the score reads: the queries of the last layer that it depends
    on (the first token, the one before a produced one, or all where it is their mean).
    """
    last, role = gradients[-1][0], found[-1].layer.role
    reads = (last.abs().sum(dim=(0, 2)) > 0).nonzero().flatten().tolist()
    first = 0 if role == "encoder" else sources
    return [first + place for place in reads or range(last.shape[1])]


def _outcome(problem: Problem, state: Matrix, rows: list[int]) -> Outcome:
    if len(state) != problem.features.shape[1]:
        raise NotValid(
            "The attention of this network is not over the tokens of its input.",
            "Choose another method.",
        )
    values = torch.from_numpy(state[rows].mean(axis=0)).to(problem.features)
    return Outcome(values[None, :, None])


def _matrix(values: Tensor) -> Matrix:
    matrix: Matrix = values.detach().cpu().double().numpy()
    return matrix
