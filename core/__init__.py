"""Fluoroscope's engine room: load a model, ask what it answers and why.

    import core

    model = core.reference("digits_cnn")
    image = core.open_example("seven.png")
    (prediction,) = core.predict(model, [image])
    (attribution,) = core.attribute(model, [image], "integrated_gradients", n_steps=50)

The public names are loaded when they are first used, so importing this package costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# No library that is used here reports to its makers: ONNX Runtime does on Linux and macOS, unless
# it is told otherwise before it is imported (its pull request 27379).
for _variable in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[_variable] = "1"

_HOMES = {
    "Attribution": "core.results",
    "Architecture": "core.results",
    "Prediction": "core.results",
    "Capture": "core.results.activations",
    "Dataset": "core.data.dataset",
    "Example": "core.tasks",
    "FluoroscopeError": "core.errors",
    "METHODS": "core.attribution.registry",
    "attention_maps": "core.notebook",
    "attribute": "core.notebook",
    "capture": "core.notebook",
    "dataset": "core.data.dataset",
    "describe": "core.notebook",
    "flip": "core.notebook",
    "models": "core.notebook",
    "open_capture": "core.results.activations",
    "open_example": "core.notebook",
    "pack": "core.models.exported.packing",
    "predict": "core.notebook",
    "produce": "core.notebook",
    "reference": "core.models.catalogue",
    "show": "core.showing",
    "text": "core.notebook",
}
if TYPE_CHECKING:
    from core.attribution.registry import METHODS
    from core.data.dataset import Dataset, dataset
    from core.errors import FluoroscopeError
    from core.models.catalogue import reference
    from core.models.exported.packing import pack
    from core.notebook import (
        attention_maps,
        attribute,
        capture,
        describe,
        flip,
        models,
        open_example,
        predict,
        produce,
        text,
    )
    from core.results import Architecture, Attribution, Prediction
    from core.results.activations import Capture, open_capture
    from core.showing import show
    from core.tasks import Example

__all__ = [
    "METHODS",
    "Architecture",
    "Attribution",
    "Capture",
    "Dataset",
    "Example",
    "FluoroscopeError",
    "Prediction",
    "attention_maps",
    "attribute",
    "capture",
    "dataset",
    "describe",
    "flip",
    "models",
    "open_capture",
    "open_example",
    "pack",
    "predict",
    "produce",
    "reference",
    "show",
    "text",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'core' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
