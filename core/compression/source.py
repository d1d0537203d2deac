"""Compressed models as a source of cards: ``compressed:<name>`` after their folder in the
workspace, or with the folder's path. Imports no torch.

card.json             ``of`` and its fingerprint, the steps, and what they replaced
weights.safetensors   all tensors
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePath

from core.errors import BadModel, UnknownName
from core.models.card import ModelCard
from core.models.catalogue import card as card_of
from core.models.reference import COMPRESSED
from core.workspace import workspace

PREFIX = COMPRESSED
CARD, WEIGHTS = "card.json", "weights.safetensors"
_FACTORY = "core.compression.made:rebuilt"


def knows(name: str) -> bool:
    """Whether a name means a compressed model."""
    return name.startswith(PREFIX)


def card(name: str) -> ModelCard:
    """The card of a compressed model: that of the model it was made of, with other weights.

    Raises ``UnknownName`` when there is none, ``BadModel`` when its card is damaged.
    """
    folder = _folder(name)
    try:
        about = json.loads((folder / CARD).read_bytes())
        original = card_of(str(about["of"]))
        structure = [dict(each) for each in about["structure"]]
        titles = ", ".join(str(each) for each in about["titles"])
        title = str(about.get("title") or "") or f"{titles} · {original.title}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{name}' cannot be read: {error!r}.", "Compress the model again."
        ) from error
    if original.name.startswith(PREFIX):
        raise BadModel(f"'{name}' is made of a compressed model.", "Chain the steps instead.")
    return replace(
        original,
        name=name,
        title=title,
        factory=_FACTORY,
        arguments={
            "factory": original.factory,
            "arguments": dict(original.arguments),
            "structure": structure,
        },
        weights=str(folder / WEIGHTS),
        weights_factory=None,
        own_weights=False,
        raw={
            **original.raw,
            "of": original.name,
            "compression": about,
            "metrics": {},  # those of the original hold no more
            "parameters": int(about.get("parameters", original.raw.get("parameters", 0))),
        },
    )


def names(newest: int = 0) -> tuple[str, ...]:
    """The compressed models of the workspace, in alphabetical order; the ``newest`` so many where
    that is not 0, the newest first.
    """
    cards = sorted((workspace().root / "compressed").glob(f"*/{CARD}"))
    if newest:
        cards = sorted(cards, key=lambda each: -each.stat().st_mtime_ns)[:newest]
    return tuple(f"{PREFIX}{each.parent.name}" for each in cards)


def _folder(name: str) -> Path:
    text = name.removeprefix(PREFIX)
    if PurePath(text).is_absolute() and (Path(text) / CARD).is_file():
        return Path(text)
    root = workspace().root / "compressed"
    if text and PurePath(text).name == text and (root / text / CARD).is_file():
        return root / text
    known = [each.removeprefix(PREFIX) for each in names()]
    raise UnknownName.of(
        "compressed model", text, known, "Make one with `fluoroscope compress MODEL`."
    )
