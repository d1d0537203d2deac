"""The methods for rows of tables: what differs from those for pixels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from core.attribution.method import AttributionMethod
from core.parameters import Parameter

_KINDS = ("mean", "zero", "gaussian")
_HELP = (
    "What stands in for a value: the mean of the training rows (of categories their shares), zero "
    "(no category), or values drawn one by one as the training rows spread."
)
BASELINE = Parameter("baseline", "choice", "mean", _HELP, choices=_KINDS)
DRAWN = Parameter("baseline", "choice", "gaussian", _HELP, choices=_KINDS)
_LEFT_OUT = ("segments", "n_segments")  # a column is what is switched off together
_DRAWS = ("gradient_shap", "deeplift_shap")
_SUMMARIES = {
    "saliency": "How strongly the score answers to a small change of each value, without sign.",
    "input_x_gradient": "First-order estimate of what each value adds, counted from the mean.",
    "integrated_gradients": (
        "What each value adds to the score on the way from the baseline to the row."
    ),
    "smoothgrad": "Mean gradient under noise: how strongly the score answers to each value.",
    "gradient_shap": "What each value adds to the score, on average over drawn baselines.",
    "deeplift": "What each value adds to the score compared with the baseline, in one pass.",
    "deeplift_shap": "DeepLIFT, on average over drawn baselines.",
    "lrp": "The score shared out backwards, layer by layer, down to the columns.",
    "feature_ablation": "How far the score falls when a value is replaced by the baseline.",
    "shapley_value_sampling": "What a value adds to the score, fairly shared over random orders.",
    "kernel_shap": "Shapley values of columns against one baseline, by weighted regression.",
    "lime": "Weights of a simple model that imitates this one around the row.",
}
_TITLES = {"feature_ablation": "Column ablation"}


@cache
def column_methods(declared: tuple[AttributionMethod, ...]) -> tuple[AttributionMethod, ...]:
    """The declared methods that make sense of columns."""
    return tuple(_on_columns(each) for each in declared if each.name in _SUMMARIES)


def _on_columns(each: AttributionMethod) -> AttributionMethod:
    norm = each.unit == "gradient"
    return replace(
        each,
        summary=_SUMMARIES[each.name],
        title=_TITLES.get(each.name, each.title),
        parameters=_parameters(each),
        signed=each.signed and not norm,
        norm=norm,
    )


def _parameters(each: AttributionMethod) -> tuple[Parameter, ...]:
    baseline = DRAWN if each.name in _DRAWS else BASELINE
    return tuple(
        baseline if declared.name == "baseline" else declared
        for declared in each.parameters
        if declared.name not in _LEFT_OUT
    )
