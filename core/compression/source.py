"""Compressed models as a source of cards: ``compressed:<name>`` after their folder in the
workspace, or with the folder's path. Imports no torch.

Those of models that people brought are called ``compressed:own/<name>`` and lie apart
(``Workspace.apart``), where a sealed worker writes them: their names say who may compute them, not
their cards.

card.json             ``of`` and its fingerprint, the steps, and what they replaced
weights.safetensors   all tensors
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from core.errors import BadModel, UnknownName
from core.models.card import ModelCard
from core.models.catalogue import card as card_of
from core.models.reference import COMPRESSED, ModelRef
from core.paths import read_json
from core.workspace import Workspace, workspace

PREFIX = COMPRESSED
OWN: Final = "own/"
FOLDER, CARD, WEIGHTS = "compressed", "card.json", "weights.safetensors"
_FACTORY = "core.compression.made:rebuilt"


def knows(name: str) -> bool:
    """Whether a name means a compressed model."""
    return name.startswith(PREFIX)


def named(place: Workspace, model: ModelRef, name: str) -> tuple[str, Path]:
    """What the smaller form of ``model`` that is called ``name`` is as a model, and its folder."""
    own = OWN if model.brought else ""
    return f"{PREFIX}{own}{name}", place.of(model.brought).root / FOLDER / name


def card(name: str) -> ModelCard:
    """The card of a compressed model: that of the model it was made of, with other weights.

    Raises ``UnknownName`` when there is none, ``BadModel`` when its card is damaged.
    """
    folder = _folder(name)
    try:
        about = read_json(folder / CARD)
        original = _original(name, str(about["of"]))
        structure = [dict(each) for each in about["structure"]]
        titles = ", ".join(str(each) for each in about["titles"])
        title = str(about.get("title") or "") or f"{titles} · {original.title}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{name}' cannot be read: {error!r}.", "Compress the model again."
        ) from error
    if ModelRef(original.name, "").brought and not ModelRef(name, "").brought:
        raise BadModel(
            f"'{name}' is made of '{original.name}', which somebody brought, and lies among the "
            "others.",
            "Compress it again.",
        )
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


def _original(name: str, of: str) -> ModelCard:
    """The card of the model that it is made of, which is there already: what a sealed process may
    have written has nothing fetched or opened.
    """
    from core.models.formats.admitted import at_once

    if of.startswith(PREFIX):
        raise BadModel(f"'{name}' is made of a compressed model.", "Chain the steps instead.")
    with at_once():
        return card_of(of)


def names(newest: int = 0) -> tuple[str, ...]:
    """The compressed models of the workspace, in alphabetical order; the ``newest`` so many where
    that is not 0, the newest first.
    """
    place = workspace()
    cards = {
        each: f"{PREFIX}{own}{each.parent.name}"
        for own, root in (("", place.root), (OWN, place.apart.root))
        for each in sorted((root / FOLDER).glob(f"*/{CARD}"))
    }
    if newest:
        return tuple(cards[each] for each in sorted(cards, key=_age)[:newest])
    return tuple(cards.values())


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0


def _folder(name: str) -> Path:
    text = name.removeprefix(PREFIX)
    if PurePath(text).is_absolute() and (Path(text) / CARD).is_file():
        return Path(text)
    last = text.removeprefix(OWN)
    folder = workspace().of(last != text).root / FOLDER / last
    if last and PurePath(last).name == last and (folder / CARD).is_file():
        return folder
    known = [each.removeprefix(PREFIX) for each in names()]
    raise UnknownName.of(
        "compressed model", text, known, "Make one with `fluoroscope compress MODEL`."
    )
