"""The example inputs that come with models, by name, without decoding any of them.

Packages announce a folder of examples through the entry-point group ``fluoroscope.examples``: a
function that returns a folder with files and an ``index.json`` of
``{"file", "title", "models", "label"}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from core.errors import UnknownName
from core.models.card import ModelCard
from core.models.catalogue import catalogue
from core.tasks import Example


@dataclass(frozen=True)
class GalleryItem:
    """One example on disk: ``name`` is its file name, ``label`` the true class or empty."""

    name: str
    title: str
    models: tuple[str, ...]
    label: str
    path: Path

    def example(self) -> Example:
        """Its bytes."""
        return Example(self.name, self.path.read_bytes())


@cache
def gallery() -> tuple[GalleryItem, ...]:
    """Every announced example, in the order of its index."""
    items: list[GalleryItem] = []
    for entry in metadata.entry_points(group="fluoroscope.examples"):
        folder = Path(entry.load()())
        index = folder / "index.json"
        if not index.is_file():
            continue
        items += [
            GalleryItem(
                name=row["file"],
                title=row["title"],
                models=tuple(row["models"]),
                label=str(row.get("label", "")),
                path=folder / row["file"],
            )
            for row in json.loads(index.read_text(encoding="utf-8"))
        ]
    return tuple(items)


def examples_for(model: str) -> tuple[GalleryItem, ...]:
    """The examples that suit a model, the best first."""
    return tuple(item for item in gallery() if model in item.models)


def examples_like(card: ModelCard) -> tuple[GalleryItem, ...]:
    """The examples of the announced model that is most alike in what it reads: of the same task,
    with as many channels and classes of the same names; none where it reads columns, which no
    other has.
    """

    classes = {each.casefold() for each in card.classes}

    def channels(about: ModelCard) -> int:
        return about.preprocessing.channels if about.preprocessing else 0

    def likeness(about: ModelCard) -> tuple[int, ...]:
        task, shown = about.task, bool(examples_for(about.name))
        same = channels(about) == channels(card)
        shared = len({each.casefold() for each in about.classes} & classes)
        return task.axis == card.task.axis, task is card.task, same, shown, shared

    best = max(catalogue().values(), key=likeness)  # the first of several
    fits = card.task.axis != "columns" and likeness(best)[0]
    return examples_for(best.name) if fits else ()


def gallery_item(name: str) -> GalleryItem:
    """The example called ``name``.

    Raises ``UnknownName`` with the nearest names.
    """
    for item in gallery():
        if item.name == name:
            return item
    raise UnknownName.of("example", name, (item.name for item in gallery()))
