"""Methods that look at a layer on the way, by Captum, and lay its values over the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.attr import LRP, GuidedGradCam, LayerGradCam, LayerGradientXActivation
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

from core.attribution.problem import Outcome, Problem
from core.results.architecture import LayerInfo

# Modules that only move values: Captum's LRP has no rule for them, the epsilon rule is exact there.
MOVES = (nn.Flatten, nn.Unflatten, nn.Identity)


def grad_cam(problem: Problem) -> Outcome:
    """Activations of a layer weighted by their mean gradient, with sign. Selvaraju et al. 2016,
    arXiv 1610.02391. Tokens are laid out as a grid first.
    """
    layer, info = problem.layer()
    features = problem.features.detach().clone().requires_grad_()
    if not info.tokens:
        values = LayerGradCam(problem.score, layer).attribute(features, relu_attributions=False)
        return _over_input(problem, values)
    gradient, activation = _at_tokens(problem, features, layer, info)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return _over_input(problem, (weights * activation).sum(dim=1, keepdim=True))


def guided_grad_cam(problem: Problem) -> Outcome:
    """Grad-CAM's positive part times guided backprop. Selvaraju et al. 2016, arXiv 1610.02391."""
    layer, _ = problem.layer()
    features = problem.features.detach().clone().requires_grad_()
    values: Tensor = GuidedGradCam(problem.score, layer).attribute(features)
    return Outcome(values)


def layer_gradient_x_activation(problem: Problem) -> Outcome:
    """Gradient times activation at a layer, summed over channels. Compare Ancona et al. 2018,
    arXiv 1711.06104.
    """
    layer, info = problem.layer()
    features = problem.features.detach().clone().requires_grad_()
    if info.tokens:
        gradient, activation = _at_tokens(problem, features, layer, info)
        return _over_input(problem, (gradient * activation).sum(dim=1, keepdim=True))
    values = LayerGradientXActivation(problem.score, layer).attribute(features)
    return _over_input(problem, values.sum(dim=1, keepdim=True))


def lrp(problem: Problem) -> Outcome:
    """Relevance passed back layer by layer by the epsilon rule. Bach et al. 2015,
    doi 10.1371/journal.pone.0130140.
    """
    for part in problem.score.module.modules():
        if isinstance(part, MOVES):
            part.rule = EpsilonRule()  # how Captum is told
    problem.score.splittable = False
    values = LRP(problem.score).attribute(problem.features.detach().clone().requires_grad_())
    return Outcome(values.detach(), torch.zeros(1, device=values.device))


def _at_tokens(
    problem: Problem, features: Tensor, layer: nn.Module, info: LayerInfo
) -> tuple[Tensor, Tensor]:
    """Gradient and activation of a layer of tokens as ``[1, channel, row, column]``."""
    gradients, activations = compute_layer_gradients_and_eval(problem.score, layer, features)
    rows, columns = info.grid or (1, 1)

    def as_grid(tokens: Tensor) -> Tensor:
        grid: Tensor = tokens[:, info.prefix_tokens :].transpose(1, 2).unflatten(2, (rows, columns))
        return grid

    return as_grid(gradients[0].detach()), as_grid(activations[0].detach())


def _over_input(problem: Problem, values: Tensor) -> Outcome:
    size = problem.features.shape[2:]
    mode = str(problem.settings["upsampling"])
    exact = {} if mode == "nearest" else {"align_corners": False}
    return Outcome(F.interpolate(values.detach(), size=size, mode=mode, **exact))
