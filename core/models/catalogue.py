"""Which models there are, without importing torch or any of them.

Packages announce models through the entry-point group ``fluoroscope.models``: a function that
returns the paths of their ``card.json`` files.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from core.errors import BadInput, BadModel, MissingExtra, UnknownName
from core.models.card import ModelCard
from core.models.huggingface import shards
from core.models.reference import ModelRef
from core.paths import located
from core.provenance import sha256, sha256_of_file
from core.tasks import Task

ADAPTERS: Mapping[Task, str] = {
    Task.IMAGE_CLASSIFICATION: "core.models.image:classification",
    Task.TEXT_CLASSIFICATION: "core.models.text:classification",
    Task.TABULAR_CLASSIFICATION: "core.models.tabular:classification",
    Task.TRANSLATION: "core.models.sequence:translation",
    Task.CAUSAL_LANGUAGE_MODEL: "core.models.sequence:causal",
}
"""Functions of a card and a module, as ``"module:function"``."""


_PREFIXED = re.compile(r"(own|hf|run|compressed):")


@cache
def catalogue() -> dict[str, ModelCard]:
    """Every announced model by name, in the order announced; installed or not. It is called after
    the folder of its card.
    """
    cards: dict[str, ModelCard] = {}
    for entry in metadata.entry_points(group="fluoroscope.models"):
        for path in entry.load()():
            name = Path(path).parent.name
            cards[name] = replace(ModelCard.read(Path(path)), name=name)
    return cards


def card(name: str) -> ModelCard:
    """The card of a model, announced by name or found by a source such as that of runs.

    Sources are modules announced through the entry-point group ``fluoroscope.sources``, with
    ``knows(name)`` and ``card(name)``. Raises ``UnknownName`` with the nearest names, and what a
    source raises.
    """
    cards = catalogue()
    if name not in cards and (source := _source(name)) is not None:
        found: ModelCard = source.card(name)
        return found
    if name not in cards:
        raise UnknownName.of("model", name, cards, "See `fluoroscope list models`.")
    return cards[name]


def _source(name: str) -> Any | None:
    return next((source for source in _sources() if source.knows(name)), None)


@cache
def _sources() -> tuple[Any, ...]:
    """Read once: looking through all that is installed takes as long as drawing a page."""
    entries = metadata.entry_points(group="fluoroscope.sources")
    return tuple(entry.load() for entry in entries)


def missing(model: ModelCard) -> str:
    """What is not installed that this model needs, and how to get it; empty if nothing."""
    absent = [module for module in model.modules_needed if util.find_spec(module) is None]
    if not absent:
        return ""
    how = model.raw.get("install", f"pip install 'fluoroscope[{model.extra}]'")
    return f"Install it with: {how}"


def resolve(dotted: str) -> Any:
    """The object behind ``"module:name"``, importing the module now."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)


def weights_file(model: ModelCard) -> Path:
    """Where the weights lie on disk.

    Raises ``MissingExtra`` when they come with a package that is not installed, ``BadModel`` when
    the file is gone.
    """
    if how := missing(model):
        raise MissingExtra(f"The model '{model.name}' needs an optional package.", f"{how}.")
    if model.weights_factory:
        path = Path(resolve(model.weights_factory)())
    else:
        path = model.folder / str(model.weights)
    if not path.is_file():
        raise BadModel(
            f"The weights of '{model.name}' are missing: there is no {path.name}.",
            "Train it again with the command in its card, or reinstall fluoroscope.",
        )
    return path


@cache
def _fingerprint(path: Path, size: int, modified: int) -> str:
    return sha256_of_file(path)


def reference(name: str) -> ModelRef:
    """The reference of a model by name, with the fingerprint of its weights as they are now. A file
    that was taken over is called as it is in the workspace: who computes it need not open it again.
    """
    name = whole(name)
    about = card(name)
    if not _PREFIXED.match(name) and about.name.startswith("own:"):
        name = about.name
    return ModelRef(name, fingerprint(weights_file(about), _remembered))


def whole(name: str) -> str:
    """The name of a model as it is meant: of a file or folder that is named from the current one,
    its whole path. Only whole paths are ever taken for one.
    """
    if name in catalogue() or _PREFIXED.match(name):
        return name
    try:
        path = located(name)
    except BadInput:
        return name
    return str(path) if path.exists() else name


def fingerprint(weights: Path, of: Callable[[Path], str] = sha256_of_file) -> str:
    """That of the file, or of all fingerprints where it names others that the weights are in."""
    found = [of(each) for each in (weights, *shards(weights))]
    return found[0] if len(found) == 1 else sha256(" ".join(found).encode())


def _remembered(path: Path) -> str:
    status = path.stat()
    return _fingerprint(path, status.st_size, status.st_mtime_ns)
