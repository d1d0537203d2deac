"""What Captum's hooked methods know of PyTorch's modules, read from Captum 0.9's own tables."""

from __future__ import annotations

LINEAR_MODULES = frozenset(
    {
        "Linear",
        "Conv1d",
        "Conv2d",
        "Conv3d",
        "ConvTranspose1d",
        "ConvTranspose2d",
        "ConvTranspose3d",
        "BatchNorm1d",
        "BatchNorm2d",
        "BatchNorm3d",
        "AvgPool1d",
        "AvgPool2d",
        "AvgPool3d",
        "AdaptiveAvgPool1d",
        "AdaptiveAvgPool2d",
        "AdaptiveAvgPool3d",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "AlphaDropout",
        "Flatten",
        "Unflatten",
        "Identity",
        "ZeroPad1d",
        "ZeroPad2d",
        "ConstantPad1d",
        "ConstantPad2d",
        "ReflectionPad2d",
        "ReplicationPad2d",
        "Upsample",
        "PixelShuffle",
        "Embedding",
    }
)
"""Modules that are linear (or affine) in eval mode."""

DEEPLIFT_RULES = frozenset(
    {
        "ReLU",
        "ELU",
        "LeakyReLU",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "MaxPool1d",
        "MaxPool2d",
        "MaxPool3d",
        "Softmax",
    }
)
"""Keys of ``captum.attr._core.deep_lift.SUPPORTED_NON_LINEAR``."""

LRP_RULES = frozenset(
    {
        "Linear",
        "Conv2d",
        "BatchNorm2d",
        "MaxPool1d",
        "MaxPool2d",
        "MaxPool3d",
        "AvgPool2d",
        "AdaptiveAvgPool2d",
        "ReLU",
        "Dropout",
        "Tanh",
        "Flatten",
        "Unflatten",
        "Identity",
        "Sum",
    }
)
"""Keys of ``captum.attr._core.lrp``'s tables, modules that only move values, and ``Sum``."""

NONLINEAR = DEEPLIFT_RULES | frozenset(
    {
        "ReLU6",
        "GELU",
        "SiLU",
        "Mish",
        "Hardswish",
        "Hardtanh",
        "SELU",
        "PReLU",
    }
)
