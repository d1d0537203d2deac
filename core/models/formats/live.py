"""A live network: what it takes and answers, seen by running it."""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import BadModel
from core.models.exported import held
from core.models.exported.description import Description, completed
from core.models.exported.holding import Held
from core.models.exported.packing import described
from core.models.formats import sources
from core.models.formats.configured import Live, carded, state
from core.models.formats.running import ran
from core.models.formats.taking import input_of, longest_of
from core.tasks import Task


def lived(
    name: str, network: Any, about: Mapping[str, Any], folder: Path, next_step: str
) -> tuple[Live, nn.Module]:
    """What is found of ``network``, and the network as it is called, on the CPU: one of the
    transformers library answers with logits. ``folder`` is what its card says it lies in.

    Raises ``BadModel`` for what is no network, or is not what ``about`` says; ``next_step`` says
    how to say it better.
    """
    if not isinstance(network, nn.Module):
        raise BadModel(f"'{name}' returns {type(network).__name__}, no nn.Module.", next_step)
    try:
        said = described(**{"title": type(network).__name__, **about})
    except TypeError as error:
        raise BadModel(f"'{name}' is described wrongly: {error}.", next_step) from None
    files = sources.files(name.partition(":")[0], network)
    network, task = _called(network.eval().to("cpu"), said)
    said = said.over(Description(task=task))
    task = said.task or Task.IMAGE_CLASSIFICATION
    looked = _looked_into(name, network, said.held, said.look_into)
    values = about.get("held") or {}
    others = {each: _laid_out(values[each]) for each in said.held}
    if others:
        _hold(network, looked, others, said.held)
    found: dict[str, Any] = {
        "parameters": sum(each.numel() for each in network.parameters()),
        "inputs": [{**input_of(network, said, task), **({"name": looked} if others else {})}],
        "held": others,
        "answer": [1, 2] if task is Task.CAUSAL_LANGUAGE_MODEL else [2],
        "widths": [],
        "lengths": [1, longest_of(network)],
    }
    draft, _ = completed(replace(said, classes=()), found)
    found |= ran(carded(name, draft, found, folder), network)
    final, _ = completed(said, found)
    states = {str(path): state(path) for path in files}
    return Live(final, found, _digest(network, final, files), states), network


@contextmanager
def steadied() -> Iterator[None]:
    """What is drawn at random in this block is the same each time: a network that nobody gave
    weights then has the same in every process.
    """
    generators = (torch.get_rng_state(), random.getstate(), np.random.get_state())
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(generators[0])
        random.setstate(generators[1])
        np.random.set_state(generators[2])


def _called(network: nn.Module, said: Description) -> tuple[nn.Module, Task]:
    """The network as adapters call it, and what it is for."""
    if not any(each.__module__.startswith("transformers.") for each in type(network).__mro__):
        return network, _task(network, said)
    from core.models import huggingface, transformer
    from core.models.formats.architecture import HEADS

    kind = type(network).__name__
    task = said.task or huggingface.task_of(kind, {"architectures": [kind]})
    if task not in HEADS:
        raise BadModel(
            f"'{kind}' is a network for {task.value}, which is not taken from code.",
            "Give the folder that save_pretrained(folder) writes.",
        )
    made: nn.Module = getattr(transformer, HEADS[task][1])(network)
    return made, task


def _looked_into(
    name: str, network: nn.Module, values: Mapping[str, Any], wanted: Sequence[str]
) -> str:
    """The argument of its forward that is looked into: the ``wanted`` one, else the first that is
    not held.

    Raises ``BadModel`` for others that nothing gives, and for values of what it does not take.
    """
    every = inspect.signature(network.forward).parameters.values()
    wild = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in every)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [each for each in every if each.kind in by_name]
    free = [each for each in known if each.name not in values]
    free.sort(key=lambda each: each.name not in wanted)
    if wanted and [*wanted] != [each.name for each in free[:1]]:
        raise BadModel(
            f"'{name}' looks into {', '.join(wanted)}, and its forward takes "
            f"{', '.join(each.name for each in free) or 'nothing else'}.",
            "Name one argument of its forward that is not held.",
        )
    odd = [each for each in values if each not in {one.name for one in known} and not wild]
    if not free and not values:
        return ""  # it takes anything, as wrappers do
    if odd or not free:
        raise BadModel(
            f"'{name}' holds {', '.join(odd or values)}, and its forward takes "
            f"{', '.join(each.name for each in known) or 'nothing else'}.",
            "Name arguments of its forward in held, and leave free the one to look into.",
        )
    lacking = [each.name for each in free[1:] if each.default is inspect.Parameter.empty]
    if lacking:
        raise BadModel(
            f"The network of '{name}' also takes {', '.join(lacking)}, which nothing gives: one "
            "input is looked into.",
            f'Say what it is held at, a tensor of one example: "held": {{"{lacking[0]}": '
            "torch.zeros(4)}.",
        )
    return free[0].name


def _laid_out(given: Any) -> dict[str, Any]:
    """How an input is held that is given as a tensor of one example, or as numbers (float32)."""
    tensor = given if isinstance(given, Tensor) else torch.tensor(given, dtype=torch.float32)
    shape = list(tensor.shape)
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"shape": shape, "usual": shape, "batched": True, "dtype": kind}


def _hold(
    network: nn.Module, looked: str, others: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """From now on the network is called with the input that is looked into alone. Its class is one
    of the same name above its own: parts keep their names, and copies hold the same.
    """
    kind = type(network)
    kept = held.arguments({"held": others}, values)
    values_of = {name: Held(about, getattr(torch, about["dtype"])) for name, about in kept.items()}

    def forward(self: nn.Module, given: Tensor) -> Any:
        more = {name: each.beside(given) for name, each in values_of.items()}
        return kind.forward(self, **{looked: given}, **more)

    about = {"forward": forward, "__module__": kind.__module__, "__doc__": kind.__doc__}
    about["texts_held"] = [each for each in values_of.values() if each.is_text]
    network.__class__ = type(kind.__name__, (kind,), about)


def _task(network: nn.Module, said: Description) -> Task:
    """What it is for, by its first layer of weights."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            return Task.IMAGE_CLASSIFICATION
        if isinstance(part, nn.Embedding):
            return Task.TEXT_CLASSIFICATION
        if isinstance(part, nn.Linear):
            break
    return Task.TEXT_CLASSIFICATION if said.tokenizer else Task.TABULAR_CLASSIFICATION


def _digest(network: nn.Module, said: Description, files: Sequence[Path]) -> str:
    made = hashlib.sha256(said.written().encode())
    for name, tensor in sorted(network.state_dict().items()):
        made.update(name.encode())
        made.update(tensor.detach().cpu().contiguous().flatten().float().numpy().tobytes())
    for path in files:
        made.update(path.name.encode() + path.read_bytes())
    return made.hexdigest()
