"""A smaller model on disk: a model like any other, with its recipe in its card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from core.compression.apply import apply, compact, replaced
from core.compression.methods import method, settled
from core.compression.source import CARD, PREFIX, WEIGHTS
from core.errors import BadParameter, StorageError
from core.models.catalogue import resolve
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.store import write_atomically
from core.tasks import Example


def rebuilt(
    factory: str, arguments: Mapping[str, Any], structure: Sequence[Mapping[str, Any]]
) -> nn.Module:
    """The architecture of a compressed model, with weights that mean nothing yet."""
    module: nn.Module = resolve(factory)(**arguments)
    for each in structure:
        part = module.get_submodule(str(each["layer"]))
        replaced(
            module, str(each["layer"]), compact(part, str(each["kind"]), int(each.get("rank", 0)))
        )
    return module


def compress(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> str:
    """The verb ``compress``: apply ``steps`` one after the other and write the smaller model to the
    folder ``out``; its name. The model itself stays as it is.

    Raises ``BadParameter`` for settings that there are not, ``NotValid`` where a method does not
    fit, ``StorageError`` when it cannot be written.
    """
    steps = settled(parameters.get("steps", ()))
    if model.card.name.startswith(PREFIX):
        raise BadParameter(
            f"'{model.card.name}' is compressed already.",
            f"Compress '{model.card.raw['of']}' by several steps instead.",
        )
    folder = Path(str(parameters["out"]))
    meter.expect(len(steps), "Compressing")
    with model.exclusive(seed) as module:
        small = copy.deepcopy(module).to("cpu")
    for parameter in small.parameters():  # of a convolution on a CPU the channels lie last
        parameter.data = parameter.data.contiguous()
    structure, stored = [], "float32"
    for step in steps:
        meter.tick()
        way = method(step["method"])
        structure += apply(small, step)
        stored = way.stored if way.stored != "float32" else stored
    about = {
        "of": model.ref.name,
        "fingerprint": model.ref.fingerprint,
        "steps": list(steps),
        "titles": [method(step["method"]).title for step in steps],
        "structure": structure,
        "stored": stored,
    }
    _write(folder, small, about)
    return f"{PREFIX}{folder}"


def _write(folder: Path, module: nn.Module, about: Mapping[str, Any]) -> None:
    kept = torch.bfloat16 if about["stored"] == "bfloat16" else torch.float32
    tensors = {
        name: (tensor.to(kept) if tensor.dtype == torch.float32 else tensor).contiguous().clone()
        for name, tensor in module.state_dict().items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        waiting = folder / f"{WEIGHTS}.part"
        save_file(tensors, waiting)
        waiting.replace(folder / WEIGHTS)
        write_atomically(folder / CARD, json.dumps(about, indent=2).encode())
    except OSError as error:
        raise StorageError(
            f"'{folder}' cannot be written: {error.strerror or error}.",
            "Make room, or choose another workspace.",
        ) from error
