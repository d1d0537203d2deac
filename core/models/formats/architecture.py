"""Architectures that weights alone can be poured into: sample models and other announced ones,
configurations of transformers, timm and torchvision by name.

A card names one, and numbers for it; it never names code. Imports nothing heavy until one is built.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import BadModel, MissingExtra, UnknownName, shortened
from core.models.card import ModelCard
from core.models.catalogue import catalogue, missing, resolve
from core.tasks import Task

if TYPE_CHECKING:
    from torch import nn

WANTED = (
    "A network of your own comes whole: torch.export.save(torch.export.export(model, (inputs,)), "
    '"model.pt2"). Else name one, on the page under "Weights alone, or a graph" or with '
    '--architecture digits_cnn, or in a card: "architecture": {"model_type": "bert", …} of '
    'transformers, {"timm": "resnet18"} or {"torchvision": "resnet18"}.'
)
_LIBRARIES = ("timm", "torchvision")
_NUMBERS = {
    "timm": ("num_classes", "in_chans", "img_size", "patch_size"),
    "torchvision": ("num_classes", "image_size"),
}
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")
HEADS = {
    Task.IMAGE_CLASSIFICATION: ("AutoModelForImageClassification", "ImageClassifier"),
    Task.TEXT_CLASSIFICATION: ("AutoModelForSequenceClassification", "Classifier"),
    Task.CAUSAL_LANGUAGE_MODEL: ("AutoModelForCausalLM", "Causal"),
}
# What would fetch or import something from elsewhere.
_NEVER = ("auto_map", "custom_pipelines", "quantization_config", "backbone", "_name_or_path",
          "name_or_path", "use_pretrained_backbone", "use_timm_backbone", "use_kernels",
          "timm_kwargs", "backbone_kwargs")  # fmt: skip


def spelt(text: str) -> dict[str, Any]:
    """What a person wrote: a name, or JSON. Raises ``BadModel``."""
    if not text.lstrip().startswith("{"):
        return {"name": text.strip()} if text.strip() else {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadModel("The architecture is no JSON.", WANTED) from None
    return dict(found)


def announced(spec: Mapping[str, Any]) -> ModelCard | None:
    """The card of the announced model that ``spec`` names; None for those of libraries.

    Raises ``UnknownName`` with the nearest names, ``MissingExtra`` when a package is missing,
    ``BadModel`` for one that cannot be filled with other weights.
    """
    if "name" not in spec:
        return None
    name = str(spec["name"])
    known = {key: card for key, card in catalogue().items() if not card.own_weights}
    if name not in known:
        raise UnknownName.of("architecture", name, known, WANTED)
    if how := missing(known[name]):
        raise MissingExtra(f"The architecture '{name}' needs an optional package.", f"{how}.")
    return known[name]


def arguments(spec: Mapping[str, Any], about: ModelCard) -> dict[str, Any]:
    """Those of the announced model's function, with the numbers that ``spec`` gives.

    Raises ``BadModel`` for one that the function does not take.
    """
    given = spec.get("arguments") or {}
    function = resolve(about.factory)
    taken = set(inspect.signature(function).parameters)
    if not isinstance(given, Mapping):
        raise BadModel("The architecture's arguments are no JSON object.", WANTED)
    for key, value in given.items():
        if key not in taken or type(value) not in (int, float, bool, str):
            raise BadModel(
                f"'{spec['name']}' takes no argument '{shortened(key, 40)}' like "
                f"{shortened(repr(value), 40)}.",
                f"Known: {', '.join(sorted(taken)) or 'none'}.",
            )
    return {**about.arguments, **given}


def build(spec: Mapping[str, Any], task: str = "") -> nn.Module:
    """The network with random weights, called as the adapter of its task does.

    Raises ``BadModel``, ``UnknownName`` or ``MissingExtra``.
    """
    if (about := announced(spec)) is not None:
        made: nn.Module = resolve(about.factory)(**arguments(spec, about))
        return made
    for library in _LIBRARIES:
        if library in spec:
            return _of_library(library, str(spec[library]), spec.get("arguments") or {})
    if "model_type" in spec:
        return _of_transformers(spec, Task(task))
    raise BadModel("The card does not say which architecture the weights belong to.", WANTED)


def image_sides(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a configuration says of the pictures it takes."""
    size, channels = spec.get("image_size"), spec.get("num_channels")
    pair = size if isinstance(size, list) and len(size) == 2 else [size, size]
    found = {"channels": channels, "height": pair[0], "width": pair[1]}
    return {key: value for key, value in found.items() if type(value) is int}


def _of_transformers(spec: Mapping[str, Any], task: Task) -> nn.Module:
    for key in _NEVER:
        if key in spec:
            raise BadModel(
                f"The architecture has '{key}', which could bring code or weights from elsewhere.",
                "Leave it out of the card.",
            )
    if task not in HEADS:
        raise BadModel(
            f"Weights alone cannot be a model for {task.value} of transformers.",
            "Give the whole folder that save_pretrained(folder) writes.",
        )
    try:
        import transformers

        from core.models import transformer
    except ImportError:
        raise MissingExtra(
            "This architecture needs the transformers package.",
            "Install it with: pip install 'fluoroscope[text]'.",
        ) from None
    head, wrapper = HEADS[task]
    values = {key: value for key, value in spec.items() if not key.endswith("_implementation")}
    kind = str(values.pop("model_type"))
    try:
        make: Any = transformers.AutoConfig.for_model
        config = make(kind, **values)
        inner = getattr(transformers, head).from_config(config, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # a stranger's numbers may break the library in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "allocate memory" in reason:
            raise MemoryError from None
        raise BadModel(
            f"transformers cannot build '{shortened(kind, 40)}' for {task.value}: "
            f"{shortened(reason, 160).rstrip('.')}.",
            "Give the configuration as config.to_dict() writes it.",
        ) from None
    if task is Task.TEXT_CLASSIFICATION and hasattr(inner, "score"):
        inner.config.get_text_config().pad_token_id = -1  # as in core.models.transformer
    made: nn.Module = getattr(transformer, wrapper)(inner)
    return made


def _of_library(library: str, name: str, given: Mapping[str, Any]) -> nn.Module:
    allowed = _NUMBERS[library]
    if not _NAME.fullmatch(name) or not isinstance(given, Mapping):
        raise BadModel(f"'{shortened(name, 60)}' is no name of a model of {library}.", WANTED)
    for key, value in given.items():
        if key not in allowed or type(value) is not int:
            raise BadModel(
                f"'{shortened(key, 40)}' is not taken for models of {library}.",
                f"Known, as whole numbers: {', '.join(allowed)}.",
            )
    try:
        if library == "timm":
            import timm

            known = timm.list_models()
            make: Any = partial(timm.create_model, name, pretrained=False)
        else:
            import torchvision

            known = torchvision.models.list_models(torchvision.models)
            make = partial(torchvision.models.get_model, name, weights=None)
    except (ImportError, RuntimeError, AttributeError):  # RuntimeError: built for another torch
        raise MissingExtra(
            f"This architecture needs {library}, which is not installed for this torch.",
            f"Install torchvision of the same build as torch{', and timm' * (library == 'timm')}.",
        ) from None
    if name not in known:
        raise UnknownName.of(f"model of {library}", name, known)
    made: nn.Module = make(**given)
    return made
