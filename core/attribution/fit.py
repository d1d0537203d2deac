"""How well a method fits a model: judged from its architecture alone, before anything runs.

Every claim here is checked by experiment in the tests.
"""

from __future__ import annotations

from core.models.operations import DEEPLIFT_RULES, LINEAR_MODULES, LRP_RULES, NONLINEAR
from core.results.architecture import Architecture, Fit, LayerInfo

EXACT = Fit("exact")


def any_model(architecture: Architecture) -> Fit:
    """Methods that only call the model."""
    return EXACT


def differentiable(architecture: Architecture) -> Fit:
    """Methods that need the gradient at the input."""
    if architecture.differentiable:
        return EXACT
    return Fit("not valid", "No gradient of the output reaches the input of this model.")


def guided(architecture: Architecture) -> Fit:
    """Guided backprop and deconvolution change the gradient of ``nn.ReLU`` modules only."""
    if not architecture.differentiable:
        return differentiable(architecture)
    if architecture.unrewritable and "relu" in architecture.functions:
        return Fit(
            "not valid",
            f"Its ReLU are function calls that cannot be made modules: "
            f"{architecture.unrewritable}.",
        )
    leaves = _leaves(architecture)
    if not any(layer.base == "ReLU" for layer in leaves):
        others = sorted(_nonlinear(architecture))
        found = f" (it has {', '.join(others)})" if others else ""
        return Fit(
            "not valid",
            f"The rule is defined for ReLU and this network has none{found}; the result would be "
            "the plain gradient.",
        )
    others = sorted(_nonlinear(architecture) - {"ReLU", "MaxPool1d", "MaxPool2d", "MaxPool3d"})
    if others:
        return Fit("approximate", f"Only ReLU follow the rule; {', '.join(others)} do not.")
    return EXACT


def deeplift(architecture: Architecture) -> Fit:
    """DeepLIFT's Rescale rule has to know every non-linearity."""
    if not architecture.differentiable:
        return differentiable(architecture)
    unknown = sorted(_nonlinear(architecture) - DEEPLIFT_RULES)
    if unknown:
        why = (
            f" It could not be rewritten: {architecture.unrewritable}."
            if (architecture.unrewritable)
            else ""
        )
        return Fit(
            "not valid",
            f"There is no rule for {', '.join(unknown)}, so contributions would not add up.{why}",
        )
    reused = _reused(architecture)
    if reused:
        return Fit("not valid", f"{reused} is used more than once, which the hooks cannot follow.")
    if architecture.unrewritable and any(layer.inplace for layer in _leaves(architecture)):
        return Fit(
            "not valid",
            f"It overwrites activations in place and {architecture.unrewritable}.",
        )
    if any(layer.base == "Softmax" for layer in _leaves(architecture)):
        return Fit("approximate", "The rule for softmax does not conserve the sum exactly.")
    return EXACT


def spatial(architecture: Architecture) -> Fit:
    """Grad-CAM and its kin need a layer that still lies over the image."""
    if not architecture.differentiable:
        return differentiable(architecture)
    if not architecture.cam_layer:
        return Fit("not valid", "No layer of this network lies over the input as a grid.")
    layer = next(x for x in architecture.layers if x.name == architecture.cam_layer)
    if layer.tokens:
        return Fit(
            "approximate",
            f"The {layer.output_shape[0] - layer.prefix_tokens} tokens of {layer.name} are laid "
            "out as a grid; attention may have moved content between them.",
        )
    return EXACT


def guided_spatial(architecture: Architecture) -> Fit:
    """Guided Grad-CAM is the product of both, for convolutions."""
    for fit in (guided(architecture), spatial(architecture)):
        if not fit.usable:
            return fit
    layer = next(x for x in architecture.layers if x.name == architecture.cam_layer)
    if layer.tokens:
        return Fit("not valid", "It is defined for convolutions; this network has tokens.")
    return guided(architecture)


def lrp(architecture: Architecture) -> Fit:
    """Layer-wise relevance propagation needs a rule for every layer."""
    if not architecture.differentiable:
        return differentiable(architecture)
    leaves = _leaves(architecture)
    missing = sorted({layer.kind for layer in leaves if layer.kind not in LRP_RULES})
    if missing:
        return Fit("not valid", f"There is no relevance rule for {', '.join(missing)}.")
    functions = sorted(set(architecture.hooked_functions) - {"add"})
    if functions:
        return Fit(
            "not valid",
            f"{', '.join(functions)} are function calls, which relevance cannot be passed through.",
        )
    reused = _reused(architecture)
    if reused:
        return Fit("not valid", f"{reused} is used more than once, which the hooks cannot follow.")
    sums = [layer for layer in _leaves(architecture) if layer.kind == "Sum"]
    if architecture.hooked_functions.count("add") > len(sums):
        return Fit(
            "not valid", "Branches are added (residuals) by calls that relevance cannot pass."
        )
    return Fit("approximate", "Biases absorb part of the relevance; the delta shows how much.")


def token_layer(architecture: Architecture) -> Fit:
    """Methods that look at a layer with a place for every token."""
    if not architecture.differentiable:
        return differentiable(architecture)
    if not architecture.cam_layer:
        return Fit("not valid", "No layer of this network keeps a place for every token.")
    return EXACT


def attention(architecture: Architecture) -> Fit:
    """Methods that need attention weights."""
    functions = set(architecture.functions)
    if (
        "scaled_dot_product_attention" in functions
        or {"softmax", "matmul"} <= functions
        or any(layer.base == "MultiheadAttention" for layer in architecture.layers if layer.calls)
    ):
        return EXACT
    return Fit("not valid", "This network has no attention.")


def _leaves(architecture: Architecture) -> list[LayerInfo]:
    return [layer for layer in architecture.hooked_layers if layer.leaf and layer.calls]


def _nonlinear(architecture: Architecture) -> set[str]:
    """Every non-linear module and function, by name; a module of unknown kind counts as one."""
    found = set(architecture.hooked_functions) - {"add"}
    for layer in _leaves(architecture):
        if layer.base in LINEAR_MODULES:
            continue
        if layer.base or layer.name:
            found.add(layer.base or layer.kind)
    # A leaf of one's own whose calls are all seen as functions is not unknown any more.
    own = {layer.kind for layer in _leaves(architecture) if not layer.base}
    return found - own if architecture.hooked_functions else found


def _reused(architecture: Architecture) -> str:
    names = [x.name for x in _leaves(architecture) if x.calls > 1 and x.base in NONLINEAR]
    return names[0] if names else ""
