"""What flows to the score through a layer, by Captum."""

from __future__ import annotations

from captum.attr import LayerConductance

from core.attribution.problem import Outcome, Problem
from core.errors import NotValid
from core.tasks import OTHER_OUTPUT


def layer_conductance(problem: Problem) -> Outcome:
    """Integrated gradients through each place of a layer, summed over its channels. Dhamdhere
    et al. 2018, arXiv 1805.12233. Complete where everything passes through the layer.

    Raises ``NotValid`` for two outputs of a sequence model, which pass one after the other.
    """
    if OTHER_OUTPUT in problem.batch.outputs[0]:
        raise NotValid(
            "Layer conductance cannot contrast two outputs: they pass the layer one after the "
            "other.",
            "Explain each by itself, or choose another method.",
        )
    layer, _ = problem.layer()
    baseline, n_steps = problem.baseline(), problem.whole("n_steps")
    values = LayerConductance(problem.score, layer).attribute(
        problem.features.detach().clone().requires_grad_(),
        baselines=baseline,
        n_steps=n_steps,
        internal_batch_size=min(problem.gradient_batch_size, n_steps),
    )
    values = values[0] if isinstance(values, tuple) else values
    return Outcome(values.detach().sum(dim=-1, keepdim=True), problem.score_of(baseline))
