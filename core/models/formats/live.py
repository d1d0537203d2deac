"""The card of a live network: what it takes and answers, seen by running it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from core.errors import BadModel
from core.models.card import ModelCard
from core.models.exported.description import Description, completed
from core.models.exported.own import Staged
from core.models.exported.packing import described
from core.models.formats import cards
from core.models.formats.running import ran
from core.models.formats.taking import input_of, longest_of
from core.tasks import Task

_WEIGHTS = "weights.sha256"


def live_card(
    name: str, network: Any, about: Mapping[str, Any], folder: Path, next_step: str
) -> ModelCard:
    """The card of ``network``, with the digest of its weights as a file in ``folder``.

    Raises ``BadModel`` for what is no network, or is not what ``about`` says; ``next_step`` says
    how to say it better.
    """
    if not isinstance(network, nn.Module):
        raise BadModel(f"'{name}' returns {type(network).__name__}, no nn.Module.", next_step)
    try:
        said = described(**{"title": type(network).__name__, **about})
    except TypeError as error:
        raise BadModel(f"'{name}' is described wrongly: {error}.", next_step) from None
    said = said.over(Description(task=_task(network.eval(), said)))
    task = said.task or Task.IMAGE_CLASSIFICATION
    found: dict[str, Any] = {
        "parameters": sum(each.numel() for each in network.parameters()),
        "inputs": [input_of(network, said, task)],
        "answer": [1, 2] if task is Task.CAUSAL_LANGUAGE_MODEL else [2],
        "widths": [],
        "lengths": [1, longest_of(network)],
    }
    draft, _ = completed(replace(said, classes=()), found)
    found |= ran(_card(name, draft, found, folder), network)
    final, _ = completed(said, found)
    (folder / _WEIGHTS).write_text(_digest(network, final), encoding="utf-8")
    return _card(name, final, found, folder)


def _card(name: str, said: Description, found: Mapping[str, Any], folder: Path) -> ModelCard:
    kept = Staged(folder, found, said, {"file": name}, False, cards.WEIGHTS_KIND)
    return replace(
        cards.card(name, folder, kept),
        summary=said.summary or f"Your own network, made by {name}.",
        factory="core.models.formats.factory:module",
        arguments={"name": name},
        weights=_WEIGHTS,
        own_weights=True,
    )


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


def _digest(network: nn.Module, said: Description) -> str:
    made = hashlib.sha256(said.written().encode())
    for name, tensor in sorted(network.state_dict().items()):
        made.update(name.encode())
        made.update(tensor.detach().cpu().contiguous().flatten().float().numpy().tobytes())
    return made.hexdigest()
