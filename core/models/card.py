"""The card of a model: what it is, how inputs are prepared, how good it is, where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import BadModel
from core.tasks import Task


@dataclass(frozen=True)
class ImagePreprocessing:
    """How a picture becomes the network's input of ``channels × height × width``.

    ``mean`` and ``std`` are per channel in units of 0..1. ``fit`` is ``cover`` (shorter side
    resized, centre cropped) or ``glyph`` (one object on a plain background: polarity set so that
    the background is dark, its bounding box scaled to ``box`` pixels and centred by mass).
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Literal["cover", "glyph"] = "cover"
    box: int | None = None


@dataclass(frozen=True)
class ModelCard:
    """``card.json`` as a value; ``raw`` keeps everything the file says, for the Overview page.

    ``arguments`` are those of ``factory``, which with ``own_weights`` reads the weights itself;
    ``preprocessing`` is None for models that do not take images; ``tokenizer`` names a function of
    the card, as ``"module:function"``, for those that take texts. ``independent`` classes are
    judged one by one, so that several may be true. ``adapter`` names a function of the card and
    the module where it is not that of the task; ``device`` is where it computes, where it can
    nowhere else.
    """

    name: str
    title: str
    task: Task
    summary: str
    factory: str
    classes: tuple[str, ...]
    preprocessing: ImagePreprocessing | None
    folder: Path
    weights: str | None
    weights_factory: str | None
    extra: str | None
    modules_needed: tuple[str, ...]
    raw: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    own_weights: bool = False
    independent: bool = False
    adapter: str = ""
    device: str = ""

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read ``card.json``.

        Raises ``BadModel`` when it is not JSON or lacks a key.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            prepared = raw["preprocessing"]
            return cls(
                name=raw["name"],
                title=raw["title"],
                task=Task(raw["task"]),
                summary=raw["summary"],
                factory=raw["factory"],
                classes=tuple(raw["classes"]),
                preprocessing=_of_images(prepared) if "channels" in prepared else None,
                folder=path.parent,
                weights=raw.get("weights"),
                weights_factory=raw.get("weights_factory"),
                extra=raw.get("extra"),
                modules_needed=tuple(raw.get("modules_needed", ())),
                raw=raw,
                arguments=dict(raw.get("arguments", {})),
                tokenizer=str(raw.get("tokenizer", "")),
                own_weights=bool(raw.get("own_weights", False)),
                independent=bool(raw.get("independent", False)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadModel(
                f"The model card {path.name} in '{path.parent.name}' cannot be read: {error!r}.",
                "Expected a JSON object with name, title, task, factory, classes, preprocessing.",
            ) from error


def _of_images(prepared: Mapping[str, Any]) -> ImagePreprocessing:
    return ImagePreprocessing(
        channels=int(prepared["channels"]),
        height=int(prepared["height"]),
        width=int(prepared["width"]),
        mean=tuple(prepared["mean"]),
        std=tuple(prepared["std"]),
        fit=prepared["fit"],
        box=prepared.get("box"),
    )
