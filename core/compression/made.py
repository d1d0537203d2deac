"""A smaller model on disk: a model like any other, with its recipe in its card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.compression.apply import Structure, apply, compact, replaced
from core.compression.cost import counted
from core.compression.given import Given
from core.compression.methods import method, settled, titled
from core.compression.source import CARD, PREFIX, WEIGHTS
from core.data.dataset import dataset
from core.errors import BadInput, BadParameter, NotValid, StorageError
from core.models.adapter import Batch
from core.models.catalogue import resolve
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.store import write_atomically
from core.tasks import Example

_CALIBRATION = 64  # examples on which inputs are measured


def rebuilt(
    factory: str, arguments: Mapping[str, Any], structure: Sequence[Mapping[str, Any]]
) -> nn.Module:
    """The architecture of a compressed model, with weights that mean nothing yet."""
    module: nn.Module = resolve(factory)(**arguments)
    for each in structure:
        part = module.get_submodule(str(each["layer"]))
        shape = tuple(int(size) for size in each.get("shape", ()))
        small = compact(part, str(each["kind"]), int(each.get("rank", 0)), shape)
        replaced(module, str(each["layer"]), small)
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
    found = smaller(model, steps, seed, meter, str(parameters.get("path", "")))
    about = {
        "of": model.ref.name,
        "fingerprint": model.ref.fingerprint,
        "steps": list(steps),
        "titles": [titled(step) for step in steps],
        "structure": found.structure,
        "stored": found.stored,
        "notes": found.notes,
        "parameters": counted(found.module)[0],
    }
    _write(folder, found, about)
    return f"{PREFIX}{folder}"


@dataclass(frozen=True)
class Smaller:
    """A module on the CPU made smaller: what was replaced, the number format of its file, and
    sentences for people.
    """

    module: nn.Module
    structure: Structure
    stored: str
    notes: list[str]


def smaller(
    model: LoadedModel,
    steps: Sequence[Mapping[str, Any]],
    seed: int,
    meter: Meter,
    path: str = "",
) -> Smaller:
    """A copy of the model's module after ``steps``, each of which ticks the meter. Inputs are
    measured on the data at ``path``, or on those that ship with the model.

    Raises ``NotValid`` where a method does not fit.
    """
    with model.exclusive(seed) as module:
        small = copy.deepcopy(module).to("cpu")
    for parameter in small.parameters():  # of a convolution on a CPU the channels lie last
        parameter.data = parameter.data.contiguous()
    given = Given(
        model.adapter, _moved(model.adapter.typical(model)), lambda: _calibration(model, path)
    )
    structure: Structure = []
    notes: list[str] = []
    stored = "float32"
    for place, step in enumerate(steps):
        meter.tick()
        way = method(step["method"])
        try:
            structure += apply(small, step, given, notes)
        except NotValid as error:
            if not place:
                raise
            before = method(steps[place - 1]["method"]).title
            raise NotValid(
                f"{way.title} finds nothing to do after {before}: {error.message}",
                "Put it before, or leave it out.",
            ) from None
        stored = way.stored if way.stored != "float32" else stored
    if any(step["method"] == "int8_static" for step in steps):
        notes.append(
            f"Ranges of inputs were measured on up to {_CALIBRATION} of the examples that answers "
            "are compared on."
        )
    return Smaller(small, structure, stored, notes)


def _calibration(model: LoadedModel, path: str) -> list[Batch]:
    try:
        data = dataset(model.card, path or None, limit=_CALIBRATION)
    except BadInput:
        if path:
            raise
        return []
    examples = data.examples(range(len(data)))
    return [_moved(batch) for _, batch in model.adapter.batches(examples, model)]


def _moved(batch: Batch) -> Batch:
    return replace(
        batch,
        features=batch.features.cpu(),
        context=tuple(each.cpu() for each in batch.context),
    )


def tensors_of(made: Smaller | nn.Module) -> dict[str, Tensor]:
    """What is in the file of a module, by name, on the CPU."""
    stored = made.stored if isinstance(made, Smaller) else "float32"
    module = made.module if isinstance(made, Smaller) else made
    kept = torch.bfloat16 if stored == "bfloat16" else torch.float32
    return {
        name: (tensor.to(kept) if tensor.dtype == torch.float32 else tensor)
        .cpu()
        .contiguous()
        .clone()
        for name, tensor in module.state_dict().items()
    }


def _write(folder: Path, found: Smaller, about: Mapping[str, Any]) -> None:
    tensors = tensors_of(found)
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
