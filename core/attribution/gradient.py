"""Methods that follow the gradient to the input, by Captum."""

from __future__ import annotations

import torch
from captum.attr import (
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from core.attribution.problem import Outcome, Problem
from core.attribution.scored import keep_apart

# Draws made at once by random methods. Fixed, so that results do not depend on the memory at hand;
# passes are split further where memory or time asks for it.
DRAWS = 64


def saliency(problem: Problem) -> Outcome:
    """The gradient itself, with its sign. Simonyan et al. 2013, arXiv 1312.6034."""
    return Outcome(Saliency(problem.score).attribute(_leaf(problem), abs=False))


def input_x_gradient(problem: Problem) -> Outcome:
    """Input times gradient. Shrikumar et al. 2016, arXiv 1605.01713."""
    return Outcome(InputXGradient(problem.score).attribute(_leaf(problem)))


def integrated_gradients(problem: Problem) -> Outcome:
    """Gradients along the straight path from the baseline. Sundararajan et al. 2017,
    arXiv 1703.01365.
    """
    baseline = problem.baseline()
    n_steps = problem.whole("n_steps")
    values = IntegratedGradients(problem.score).attribute(
        _leaf(problem),
        baselines=baseline,
        n_steps=n_steps,
        method=str(problem.settings["quadrature"]),
        internal_batch_size=min(problem.gradient_batch_size, n_steps),
    )
    return Outcome(values, problem.score_of(baseline))


def smoothgrad(problem: Problem) -> Outcome:
    """Mean of signed gradients under noise. Smilkov et al. 2017, arXiv 1706.03825."""
    return _noise_tunnel(problem, "smoothgrad")


def smoothgrad_squared(problem: Problem) -> Outcome:
    """Mean of squared gradients under noise. Hooker et al. 2019, arXiv 1806.10758."""
    return _noise_tunnel(problem, "smoothgrad_sq")


def vargrad(problem: Problem) -> Outcome:
    """Variance of gradients under noise. Adebayo et al. 2018, arXiv 1810.03307."""
    return _noise_tunnel(problem, "vargrad")


def _noise_tunnel(problem: Problem, kind: str) -> Outcome:
    features = _leaf(problem)
    spread = float((features.max() - features.min()).detach())
    n_samples = problem.whole("n_samples")
    values = NoiseTunnel(Saliency(problem.score)).attribute(
        features,
        nt_type=kind,
        nt_samples=n_samples,
        nt_samples_batch_size=min(DRAWS, n_samples),
        stdevs=float(problem.settings["stdevs"]) * spread,
        abs=False,
    )
    return Outcome(values.detach())


def gradient_shap(problem: Problem) -> Outcome:
    """Expected gradients at random points between random baselines and the noisy input.
    Lundberg & Lee 2017, arXiv 1705.07874; Erion et al. 2019, arXiv 1906.10670.
    """
    features = _leaf(problem)
    baselines = problem.baselines(int(problem.settings.get("n_baselines", 1)))
    spread = float((features.max() - features.min()).detach())
    n_samples, total = problem.whole("n_samples"), torch.zeros_like(features)
    method = GradientShap(problem.score)
    for start in range(0, n_samples, DRAWS):
        draws = min(DRAWS, n_samples - start)
        total = total + draws * method.attribute(
            features,
            baselines=baselines,
            n_samples=draws,
            stdevs=float(problem.settings["stdevs"]) * spread,
        )
    return Outcome(total / n_samples, problem.score_of(baselines))


def deeplift(problem: Problem) -> Outcome:
    """Differences from the baseline passed back by the Rescale rule. Shrikumar et al. 2017,
    arXiv 1704.02685; Ancona et al. 2018, arXiv 1711.06104.
    """
    problem.score.splittable = False
    keep_apart(problem.score.module, *SUPPORTED_NON_LINEAR)
    baseline = problem.baseline()
    values = DeepLift(problem.score).attribute(_leaf(problem), baselines=baseline)
    return Outcome(values, problem.score_of(baseline))


def deeplift_shap(problem: Problem) -> Outcome:
    """DeepLIFT averaged over random baselines. Lundberg & Lee 2017, arXiv 1705.07874."""
    problem.score.splittable = False
    keep_apart(problem.score.module, *SUPPORTED_NON_LINEAR)
    baselines = problem.baselines(problem.whole("n_baselines"))
    if len(baselines) == 1:
        values = DeepLift(problem.score).attribute(_leaf(problem), baselines=baselines)
        return Outcome(values, problem.score_of(baselines))
    total = torch.zeros_like(problem.features)
    for part in baselines.split(max(1, problem.gradient_batch_size // 2)):
        if len(part) == 1:  # Captum's DeepLiftShap asks for two baselines at least
            total = total + DeepLift(problem.score).attribute(_leaf(problem), baselines=part)
        else:
            values = DeepLiftShap(problem.score).attribute(_leaf(problem), baselines=part)
            total = total + len(part) * values
    scores = torch.cat([problem.score_of(part) for part in baselines.split(problem.batch_size)])
    return Outcome(total / len(baselines), scores)


def guided_backprop(problem: Problem) -> Outcome:
    """Gradient that passes a ReLU only where both it and the input are positive.
    Springenberg et al. 2014, arXiv 1412.6806.
    """
    keep_apart(problem.score.module, nn.ReLU)
    return Outcome(GuidedBackprop(problem.score).attribute(_leaf(problem)))


def deconvolution(problem: Problem) -> Outcome:
    """Gradient that passes a ReLU only where it is positive itself. Zeiler & Fergus 2013,
    arXiv 1311.2901.
    """
    keep_apart(problem.score.module, nn.ReLU)
    return Outcome(Deconvolution(problem.score).attribute(_leaf(problem)))


def _leaf(problem: Problem) -> Tensor:
    return problem.features.detach().clone().requires_grad_()
