"""Every attribution method, declared. Pages, command line, contract tests and README read this."""

from __future__ import annotations

from core.attribution import cost, fit
from core.attribution.column_methods import column_methods
from core.attribution.method import AttributionMethod
from core.attribution.settings import (
    BASELINE,
    BLUR,
    DRAWN,
    LAYER,
    N_BASELINES,
    N_SEGMENTS,
    NOISE,
    SEGMENTS,
    UPSAMPLING,
    samples,
)
from core.attribution.token_methods import token_methods
from core.errors import UnknownName
from core.parameters import Parameter
from core.tasks import AxisKind

METHODS: tuple[AttributionMethod, ...] = (
    AttributionMethod(
        name="saliency",
        title="Saliency",
        family="gradient",
        summary="How much the score would rise if this pixel were a little brighter.",
        reference="Simonyan et al. 2013, arXiv 1312.6034",
        run="core.attribution.gradient:saliency",
        fit=fit.differentiable,
        cost=cost.once,
        unit="gradient",
    ),
    AttributionMethod(
        name="input_x_gradient",
        title="Input × gradient",
        family="gradient",
        summary="First-order estimate of what each pixel adds to the score.",
        reference="Shrikumar et al. 2016, arXiv 1605.01713",
        run="core.attribution.gradient:input_x_gradient",
        fit=fit.differentiable,
        cost=cost.once,
    ),
    AttributionMethod(
        name="integrated_gradients",
        title="Integrated gradients",
        family="gradient",
        summary="What each pixel adds to the score on the way from the baseline to the input.",
        reference="Sundararajan et al. 2017, arXiv 1703.01365",
        run="core.attribution.gradient:integrated_gradients",
        fit=fit.differentiable,
        cost=cost.per_step,
        parameters=(
            BASELINE,
            Parameter("n_steps", "int", 50, "Points along the path.", minimum=2, maximum=1000),
            Parameter(
                "quadrature",
                "choice",
                "gausslegendre",
                "How the points are placed and weighted.",
                choices=("gausslegendre", "riemann_middle", "riemann_trapezoid"),
                advanced=True,
            ),
        ),
        complete=True,
    ),
    AttributionMethod(
        name="smoothgrad",
        title="SmoothGrad",
        family="gradient",
        summary="Mean gradient under noise: saliency without most of its speckle.",
        reference="Smilkov et al. 2017, arXiv 1706.03825",
        run="core.attribution.gradient:smoothgrad",
        fit=fit.differentiable,
        cost=cost.per_sample,
        parameters=NOISE,
        stochastic=True,
        unit="gradient",
    ),
    AttributionMethod(
        name="smoothgrad_squared",
        title="SmoothGrad²",
        family="gradient",
        summary="Mean squared gradient under noise: where the score is sensitive, without sign.",
        reference="Hooker et al. 2019, arXiv 1806.10758",
        run="core.attribution.gradient:smoothgrad_squared",
        fit=fit.differentiable,
        cost=cost.per_sample,
        parameters=NOISE,
        signed=False,
        stochastic=True,
        unit="gradient²",
    ),
    AttributionMethod(
        name="vargrad",
        title="VarGrad",
        family="gradient",
        summary="Variance of the gradient under noise: where the score is unsteady, without sign.",
        reference="Adebayo et al. 2018, arXiv 1810.03307",
        run="core.attribution.gradient:vargrad",
        fit=fit.differentiable,
        cost=cost.per_sample,
        parameters=NOISE,
        signed=False,
        stochastic=True,
        unit="gradient²",
    ),
    AttributionMethod(
        name="gradient_shap",
        title="Gradient SHAP",
        family="gradient",
        summary="What each pixel adds to the score, on average over several baselines.",
        reference="Lundberg & Lee 2017, arXiv 1705.07874",
        run="core.attribution.gradient:gradient_shap",
        fit=fit.differentiable,
        cost=cost.shap_samples,
        parameters=(
            DRAWN,
            Parameter("n_samples", "int", 48, "Points drawn.", minimum=1, maximum=5000),
            Parameter(
                "stdevs",
                "float",
                0.0,
                "Noise added to the input.",
                minimum=0,
                maximum=2,
                label="Noise",
                unit="× value range",
                advanced=True,
            ),
            N_BASELINES,
        ),
        complete=True,
        stochastic=True,
    ),
    AttributionMethod(
        name="deeplift",
        title="DeepLIFT",
        family="gradient",
        summary="What each pixel adds to the score compared with the baseline, in one pass.",
        reference="Shrikumar et al. 2017, arXiv 1704.02685",
        run="core.attribution.gradient:deeplift",
        fit=fit.deeplift,
        cost=cost.pair,
        parameters=(BASELINE,),
        complete=True,
        hooked=True,
    ),
    AttributionMethod(
        name="deeplift_shap",
        title="DeepLIFT SHAP",
        family="gradient",
        summary="DeepLIFT, on average over several baselines.",
        reference="Lundberg & Lee 2017, arXiv 1705.07874",
        run="core.attribution.gradient:deeplift_shap",
        fit=fit.deeplift,
        cost=cost.pairs,
        parameters=(DRAWN, N_BASELINES),
        complete=True,
        stochastic=True,
        hooked=True,
    ),
    AttributionMethod(
        name="guided_backprop",
        title="Guided backprop",
        family="gradient",
        summary="Fine detail that excites the score; shows edges more than reasons.",
        reference="Springenberg et al. 2014, arXiv 1412.6806",
        run="core.attribution.gradient:guided_backprop",
        fit=fit.guided,
        cost=cost.once,
        hooked=True,
        unit="guided gradient",
    ),
    AttributionMethod(
        name="deconvolution",
        title="Deconvolution",
        family="gradient",
        summary="Like guided backprop but blind to what was inactive; shows patterns, not reasons.",
        reference="Zeiler & Fergus 2013, arXiv 1311.2901",
        run="core.attribution.gradient:deconvolution",
        fit=fit.guided,
        cost=cost.once,
        hooked=True,
        unit="guided gradient",
    ),
    AttributionMethod(
        name="grad_cam",
        title="Grad-CAM",
        family="layer",
        summary="Coarse regions of a layer that raise the score, or lower it.",
        reference="Selvaraju et al. 2016, arXiv 1610.02391",
        run="core.attribution.layerwise:grad_cam",
        fit=fit.spatial,
        cost=cost.once,
        parameters=(LAYER, UPSAMPLING),
        unit="CAM",
    ),
    AttributionMethod(
        name="guided_grad_cam",
        title="Guided Grad-CAM",
        family="layer",
        summary="Guided backprop inside the regions that Grad-CAM finds.",
        reference="Selvaraju et al. 2016, arXiv 1610.02391",
        run="core.attribution.layerwise:guided_grad_cam",
        fit=fit.guided_spatial,
        cost=cost.layer_and_input,
        parameters=(LAYER,),
        hooked=True,
        unit="guided CAM",
    ),
    AttributionMethod(
        name="layer_gradient_x_activation",
        title="Layer gradient × activation",
        family="layer",
        summary="What each position of a layer adds to the score, to first order.",
        reference="Ancona et al. 2018, arXiv 1711.06104",
        run="core.attribution.layerwise:layer_gradient_x_activation",
        fit=fit.spatial,
        cost=cost.once,
        parameters=(LAYER, UPSAMPLING),
    ),
    AttributionMethod(
        name="lrp",
        title="LRP",
        family="layer",
        summary="The score shared out backwards, layer by layer, down to the pixels.",
        reference="Bach et al. 2015, doi 10.1371/journal.pone.0130140",
        run="core.attribution.layerwise:lrp",
        fit=fit.lrp,
        cost=cost.twice,
        complete=True,
        hooked=True,
    ),
    AttributionMethod(
        name="occlusion",
        title="Occlusion",
        family="perturbation",
        summary="How far the score falls when a window is covered, shared by its pixels.",
        reference="Zeiler & Fergus 2013, arXiv 1311.2901",
        run="core.attribution.perturbation:occlusion",
        fit=fit.any_model,
        cost=cost.windows,
        parameters=(
            BASELINE,
            Parameter(
                "window", "int", 18, "Side of the window.", minimum=1, maximum=100, unit="% of side"
            ),
            Parameter(
                "stride", "int", 7, "Step of the window.", minimum=1, maximum=100, unit="% of side"
            ),
        ),
    ),
    AttributionMethod(
        name="feature_ablation",
        title="Feature ablation",
        family="perturbation",
        summary="How far the score falls when a segment is switched off, shared by its pixels.",
        reference="Zeiler & Fergus 2013, arXiv 1311.2901",
        run="core.attribution.perturbation:feature_ablation",
        fit=fit.any_model,
        cost=cost.per_segment,
        parameters=(BLUR, SEGMENTS, N_SEGMENTS),
    ),
    AttributionMethod(
        name="shapley_value_sampling",
        title="Shapley value sampling",
        family="perturbation",
        summary="What a segment adds to the score, fairly shared over random orders.",
        reference="Castro et al. 2009, doi 10.1016/j.cor.2008.04.004",
        run="core.attribution.perturbation:shapley_value_sampling",
        fit=fit.any_model,
        cost=cost.orders,
        parameters=(BLUR, SEGMENTS, N_SEGMENTS, samples(25)),
        complete=True,
        stochastic=True,
    ),
    AttributionMethod(
        name="kernel_shap",
        title="KernelSHAP",
        family="perturbation",
        summary="Shapley values of segments against one baseline, by weighted regression.",
        reference="Lundberg & Lee 2017, arXiv 1705.07874",
        run="core.attribution.perturbation:kernel_shap",
        fit=fit.any_model,
        cost=cost.evaluations,
        parameters=(BLUR, SEGMENTS, N_SEGMENTS, samples(400)),
        complete=True,
        stochastic=True,
    ),
    AttributionMethod(
        name="lime",
        title="LIME",
        family="perturbation",
        summary="Weights of a simple model that imitates this one around the input.",
        reference="Ribeiro et al. 2016, arXiv 1602.04938",
        run="core.attribution.perturbation:lime",
        fit=fit.any_model,
        cost=cost.evaluations,
        parameters=(BLUR, SEGMENTS, N_SEGMENTS, samples(400)),
        stochastic=True,
    ),
)


def methods(axis: AxisKind = "pixels") -> tuple[AttributionMethod, ...]:
    """The methods for inputs that are divided in this way."""
    known = {"tokens": token_methods, "columns": column_methods}
    return known[axis](METHODS) if axis in known else METHODS


def method(name: str, axis: AxisKind = "pixels") -> AttributionMethod:
    """The method called ``name``, as it is for inputs that are divided in this way.

    Raises ``UnknownName`` with the nearest names.
    """
    known = methods(axis)
    for each in known:
        if each.name == name:
            return each
    raise UnknownName.of(
        "method", name, (each.name for each in known), "See `fluoroscope list methods`."
    )
