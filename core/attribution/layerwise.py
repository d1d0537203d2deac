"""Methods that look at a layer on the way, by Captum, and lay its values over the input."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.attr import LRP, GuidedBackprop, LayerGradCam, LayerGradientXActivation
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

from core.attribution.problem import Outcome, Problem
from core.attribution.scored import keep_apart
from core.models.rewrite import Sum
from core.results.architecture import LayerInfo

# Captum's LRP has no rule for modules that only move values and for ours; the epsilon rule, which
# shares relevance in proportion to what each input adds, is exact there.
CONSERVING = (nn.Flatten, nn.Unflatten, nn.Identity, Sum)


def grad_cam(problem: Problem) -> Outcome:
    """Activations of a layer weighted by their mean gradient, with sign. Selvaraju et al. 2016,
    arXiv 1610.02391. Tokens are laid out as a grid first.
    """
    layer, info = _layer(problem)
    features = problem.features.detach().clone().requires_grad_()
    if not info.tokens:
        values = LayerGradCam(problem.score, layer).attribute(features, relu_attributions=False)
        return _over_input(problem, values)
    gradient, activation = _at_tokens(problem, features, layer, info)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return _over_input(problem, (weights * activation).sum(dim=1, keepdim=True))


def guided_grad_cam(problem: Problem) -> Outcome:
    """Grad-CAM's positive part times guided backprop. Selvaraju et al. 2016, arXiv 1610.02391."""
    keep_apart(problem.score.module, nn.ReLU)
    features = problem.features.detach().clone().requires_grad_()
    guided = GuidedBackprop(problem.score).attribute(features)
    with problem.model.exclusive(problem.seed) as module:  # layers have their names only there
        plain = replace(problem, score=problem.score.around(module))
        layer, _ = _layer(plain)
        regions = LayerGradCam(plain.score, layer).attribute(features, relu_attributions=True)
    return Outcome(guided * F.interpolate(regions, size=features.shape[2:], mode="nearest"))


def layer_gradient_x_activation(problem: Problem) -> Outcome:
    """Gradient times activation at a layer, summed over channels. Compare Ancona et al. 2018,
    arXiv 1711.06104.
    """
    layer, info = _layer(problem)
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
    problem.score.splittable = False
    values = torch.zeros_like(problem.features)
    for sign, target in problem.score.target.parts:
        # Relevance starts at one output: shared over both of a contrast it would cancel out.
        for part in problem.score.module.modules():
            if isinstance(part, CONSERVING):
                part.rule = EpsilonRule()  # how Captum is told
        score = problem.score.around(problem.score.module, target)
        features = problem.features.detach().clone().requires_grad_()
        values = values + sign * LRP(score).attribute(features).detach()
    return Outcome(values, torch.zeros(1, device=values.device))


def _layer(problem: Problem) -> tuple[nn.Module, LayerInfo]:
    """The layer, with in-place modules kept from writing over its output."""
    for part in problem.score.module.modules():
        if getattr(part, "inplace", False):
            keep_apart(part)
    return problem.layer()


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
    """Values of a layer's positions, each shared among the pixels it lies over: the map keeps
    their sum, and is in the same units per pixel as the maps of other methods.
    """
    size = problem.features.shape[2:]
    values = values * (values[0, 0].numel() / size.numel())
    mode = str(problem.settings["upsampling"])
    exact = {} if mode == "nearest" else {"align_corners": False}
    return Outcome(F.interpolate(values.detach(), size=size, mode=mode, **exact))
