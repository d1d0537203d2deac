"""The methods for texts: what differs from those for pixels, and those that only texts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from core.attribution import cost, fit
from core.attribution.method import AttributionMethod
from core.parameters import Parameter

_KINDS = ("padding", "mask", "zero", "mean")
BASELINE = Parameter(
    "baseline",
    "choice",
    "padding",
    "What stands in for a token: the padding or mask token, zeros, or the mean of all embeddings. "
    "Special tokens stay as they are.",
    choices=_KINDS,
)
SEGMENTS = Parameter(
    "segments",
    "choice",
    "token",
    "What is switched off together.",
    label="Parts",
    choices=("token", "word", "sentence"),
)
LAYER = Parameter(
    "layer", "layer", "auto", "The layer to look at; auto is the middle one that has tokens."
)
_STEPS = Parameter("n_steps", "int", 50, "Points along the path.", minimum=2, maximum=1000)
_REPLACED = {
    "baseline": BASELINE,
    "segments": SEGMENTS,
    "n_segments": None,
    "n_baselines": None,
    "window": Parameter(
        "window", "int", 3, "Length of the span.", minimum=1, maximum=500, unit="tokens"
    ),
    "stride": Parameter(
        "stride", "int", 1, "Step of the span.", minimum=1, maximum=500, unit="tokens"
    ),
}
_SUMMARIES = {
    "saliency": "How strongly the score answers to a small change of each token, without sign.",
    "input_x_gradient": "First-order estimate of what each token adds to the score.",
    "integrated_gradients": (
        "What each token adds to the score on the way from the baseline to the text."
    ),
    "smoothgrad": "Mean gradient under noise: how strongly the score answers to each token.",
    "gradient_shap": "What each token adds to the score, on average over points on the way.",
    "deeplift": "What each token adds to the score compared with the baseline, in one pass.",
    "occlusion": "How far the score falls when a span of tokens is covered, shared by its tokens.",
    "feature_ablation": "How far the score falls when a token is replaced by the baseline.",
    "shapley_value_sampling": "What a token adds to the score, fairly shared over random orders.",
    "kernel_shap": "Shapley values of tokens against one baseline, by weighted regression.",
    "lime": "Weights of a simple model that imitates this one around the text.",
}
_TITLES = {"feature_ablation": "Token ablation"}
_OWN = (
    AttributionMethod(
        name="layer_conductance",
        title="Layer conductance",
        family="layer",
        summary="What flows to the score through each token's place in a layer.",
        reference="Dhamdhere et al. 2018, arXiv 1805.12233",
        run="core.attribution.conductance:layer_conductance",
        fit=fit.token_layer,
        cost=cost.per_step,
        parameters=(BASELINE, _STEPS, LAYER),
        complete=True,
    ),
    AttributionMethod(
        name="attention_rollout",
        title="Attention rollout",
        family="attention",
        summary="Where attention of all layers together leads back to; the same for every target.",
        reference="Abnar & Zuidema 2020, arXiv 2005.00928",
        run="core.attribution.attention_based:attention_rollout",
        fit=fit.attention,
        cost=cost.once,
        signed=False,
        unit="attention",
    ),
    AttributionMethod(
        name="attention_x_gradient",
        title="Attention × gradient",
        family="attention",
        summary="Attention that the score answers to, rolled out over the layers.",
        reference="Chefer et al. 2021, arXiv 2103.15679",
        run="core.attribution.attention_based:attention_x_gradient",
        fit=fit.attention,
        cost=cost.once,
        signed=False,
        unit="relevance",
    ),
)


@cache
def token_methods(declared: tuple[AttributionMethod, ...]) -> tuple[AttributionMethod, ...]:
    """The declared methods that make sense of tokens, and the own ones."""
    return (*(_on_tokens(each) for each in declared if each.name in _SUMMARIES), *_OWN)


def _on_tokens(each: AttributionMethod) -> AttributionMethod:
    norm = each.unit == "gradient"
    return replace(
        each,
        summary=_SUMMARIES[each.name],
        title=_TITLES.get(each.name, each.title),
        parameters=_parameters(each.parameters),
        signed=each.signed and not norm,
        norm=norm,
    )


def _parameters(declared: Sequence[Parameter]) -> tuple[Parameter, ...]:
    found = (_REPLACED.get(each.name, each) for each in declared)
    return tuple(each for each in found if each is not None)
