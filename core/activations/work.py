"""Capturing as the engine calls it: the verbs ``capture`` and ``layers``, and the job ``capture``.

The parameters of a capture are those of ``core.activations.shelf.request``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.activations.capture import capture, looks
from core.activations.plan import base, has_own, survey
from core.data.dataset import open_dataset
from core.models.catalogue import reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.reference import ModelRef
from core.progress import Meter
from core.results.activations import DataRef
from core.tasks import Example


def capture_verb(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> str:
    """Capture what is asked for, or find it; the path of its folder, for ``open_capture``.

    ``inputs`` are none: ``parameters["data"]`` says which. Raises what ``capture`` raises, and
    ``BadInput`` when the data are others by now.
    """
    data = open_dataset(DataRef(**parameters["data"]))
    layers = parameters.get("layers")
    found = capture(
        model,
        data,
        Path(str(parameters["out"])),
        None if layers is None else list(layers),
        pool=parameters["pool"],
        dtype=parameters["dtype"],
        memory=int(parameters["memory"]),
        seed=seed,
        meter=meter,
    )
    return str(found.folder)


def capture_job(parameters: Mapping[str, Any], meter: Meter) -> str:
    """The same as a job: ``parameters`` are also ``model`` (name and fingerprint), ``device`` and
    ``seed``.
    """
    name, fingerprint = parameters["model"]
    ref = ModelRef(str(name), str(fingerprint) or reference(str(name)).fingerprint)
    model = load(ref, str(parameters.get("device", "auto")))
    return capture_verb(model, (), parameters, int(parameters.get("seed", 0)), meter)


def layers_verb(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> list[dict[str, Any]]:
    """The layers of a model in the order in which they compute, with what a capture keeps of them.

    One mapping per tensor: ``name`` and ``kind``; ``parameters`` of the layer without its parts;
    ``units``; ``positions``, a list with None where texts differ; ``default``, whether it is
    captured when no layer is named; and ``why`` it cannot be captured, else empty.
    """
    with model.exclusive(seed) as module:
        known = {name: part for name, part in module.named_modules() if name}
        found, skipped = survey(model, module, looks(model, inputs), known, "whole")
    rows = []
    for each in found:
        plain = "[" not in each.name
        rows.append(
            {
                "name": each.name,
                "kind": each.kind,
                "parameters": _count(known[base(each.name)]),
                "units": each.shape[0],
                "positions": [size or None for size in each.shape[1:]],
                "default": plain and has_own(known[base(each.name)]),
                "why": "",
            }
        )
    for name, why in skipped.items():
        part = known[base(name)]
        rows.append(
            {
                "name": name,
                "kind": type(part).__name__,
                "parameters": _count(part),
                "units": None,
                "positions": [],
                "default": False,
                "why": why,
            }
        )
    return rows


def _count(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters(recurse=False))
