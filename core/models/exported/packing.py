"""One file for a network of one's own: the program and, beside it, what it is for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.confinement.folders import temporary
from core.errors import BadInput, BadModel
from core.models.exported.choice import of_output
from core.models.exported.clean import CARD, clean
from core.models.exported.description import Description, completed
from core.models.exported.trial import tried
from core.paths import located
from core.tasks import Task

_SPECIAL = ("pad", "mask", "unk", "cls", "sep", "bos", "eos")


def pack(
    model: nn.Module,
    example_inputs: Any,
    path: str | Path = "model.pt2",
    *,
    task: Task | str = "",
    classes: Sequence[str] = (),
    preprocessing: Mapping[str, Any] | None = None,
    tokenizer: Any = None,
    title: str = "",
    summary: str = "",
    independent: bool = False,
    held: Mapping[str, Any] | None = None,
    look_into: str | Sequence[str] = "",
) -> Path:
    """Export ``model`` with its card to ``path``, check it as it will be checked, and return it.

    ``example_inputs`` is a tensor, a tuple of them, or a dictionary by the names of the forward's
    arguments; the number of examples, and of tokens, is left free where the network allows it.
    ``preprocessing`` is ``{"size": 224, "mean": …, "std": …, "fit": "cover"}`` of pictures, or
    ``{"features": [names or descriptions of columns]}`` of tables; ``tokenizer`` one of the
    transformers library, the path of a ``tokenizer.json``, or a list of words. Of a network of
    several inputs that are not columns of a table one is looked into, which ``look_into`` names
    (else the first picture, text or row); ``held`` are values of the others by name: a number, a
    list, or a tensor of one example's; 0 where nothing is said.

    Raises ``BadModel`` when it cannot be exported or would not be taken in.
    """
    place = located(path)
    if place.suffix != ".pt2":
        place = place.with_name(place.name + ".pt2")
    said = described(
        task=task,
        classes=classes,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        title=title or type(model).__name__,
        summary=summary,
        independent=independent,
        held=held,
        look_into=look_into,
    )
    positional, named = _inputs(example_inputs)
    said = replace(said, held={**_start(model, named), **said.held})
    program = _exported(model, positional, named)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.export.save(program, place, extra_files={CARD: said.written()})
    with temporary() as folder:
        target = folder / "model.pt2"
        completed(said, tried(clean(place, target), target))
    return place


def described(
    *,
    task: Task | str = "",
    classes: Sequence[str] = (),
    preprocessing: Mapping[str, Any] | None = None,
    tokenizer: Any = None,
    title: str = "",
    summary: str = "",
    independent: bool = False,
    held: Mapping[str, Any] | None = None,
    look_into: str | Sequence[str] = "",
) -> Description:
    """What ``pack`` is told, as a card says it. Raises ``BadModel``, ``BadInput``."""
    prepared = dict(preprocessing or {})
    size = prepared.pop("size", None)
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else tuple(size)
        prepared = {"height": height, "width": width, **prepared}
    about = {
        "title": title,
        "task": str(task),
        "classes": [str(each) for each in classes],
        "preprocessing": prepared,
        "tokenizer": _tokenizer(tokenizer),
        "summary": summary,
        "independent": independent,
        "held": {
            name: each.tolist() if isinstance(each, Tensor) else each
            for name, each in (held or {}).items()
        },
        "look_into": look_into if isinstance(look_into, str) else list(look_into),
    }
    return Description.read(json.dumps(about))


def _start(model: nn.Module, named: dict[str, Any]) -> dict[str, Any]:
    """What an encoder–decoder of the transformers library begins its outputs with."""
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False) and named:
        named.setdefault("use_cache", False)  # what it keeps for the next token is no tensor
    start = getattr(config, "decoder_start_token_id", None)
    name = next((each for each in named if of_output(each) and each.endswith("ids")), "")
    return {name: start} if name and isinstance(start, int) else {}


def _inputs(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(given, Mapping):  # of the transformers library, too
        return (), {name: _two(value) for name, value in given.items()}
    several = given if isinstance(given, (tuple, list)) else (given,)
    if not any(isinstance(each, Tensor) for each in several):
        raise BadInput("There is no tensor among the example inputs.", "Give those of a batch.")
    return tuple(_two(each) for each in several), {}


def _two(value: Any) -> Any:
    """One example twice: torch takes the size 1 for a constant."""
    alone = isinstance(value, Tensor) and value.ndim > 0 and len(value) == 1
    return torch.cat([value, value]) if alone else value


def _exported(model: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    training = [part for part in model.modules() if part.training]
    model.eval()
    reasons = []
    try:
        for free in (True, False):
            shapes = (
                (*map(_free, positional),)
                if positional
                else {k: _free(v) for k, v in named.items()}
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return torch.export.export(
                        model, positional, named, dynamic_shapes=shapes if free else None
                    )
                except Exception as error:  # whatever its forward does that cannot be exported
                    lines = str(error).strip().splitlines() or [type(error).__name__]
                    reasons.append(lines[0][:200])
    finally:
        for part in training:
            part.training = True
    raise BadModel(
        f"'{type(model).__name__}' cannot be exported: {reasons[-1].rstrip('.')}.",
        "torch.export.export(model, inputs) says more; avoid branches that depend on values.",
    )


def _free(value: Any) -> Any:
    """Which axes may have any length: examples, and tokens of whole numbers."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return None
    auto = torch.export.Dim.AUTO
    tokens = value.ndim == 2 and not value.is_floating_point()
    return {0: auto, 1: auto} if tokens else {0: auto}


def _tokenizer(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, (str, Path)):
        return {"json": located(given).read_text(encoding="utf-8")}
    if isinstance(given, Sequence):
        return {"words": [str(each) for each in given]}
    fast = getattr(given, "backend_tokenizer", None)
    if fast is None:
        raise BadInput(
            f"{type(given).__name__} cannot be put into a file as data.",
            "Give a fast tokenizer, the path of a tokenizer.json, or a list of words.",
        )
    names = {name: getattr(given, f"{name}_token", None) for name in _SPECIAL}
    return {"json": fast.to_str(), **{k: str(v) for k, v in names.items() if v is not None}}
