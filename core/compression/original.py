"""The model that a compressed one was made of."""

from __future__ import annotations

from core.compression.source import PREFIX
from core.errors import BadInput, BadModel
from core.models.catalogue import reference
from core.models.loaded import LoadedModel
from core.models.loader import load


def original_of(model: LoadedModel) -> LoadedModel:
    """The model that ``model`` was made of, on the same device.

    Raises ``BadInput`` when it was made of none, ``BadModel`` when that one has other weights now.
    """
    about = model.card.raw.get("compression")
    if not model.card.name.startswith(PREFIX) or about is None:
        raise BadInput(
            f"'{model.card.name}' is not a compressed model.",
            f"Compress it: fluoroscope compress {model.card.name} --method int8",
        )
    ref = reference(str(about["of"]))
    if ref.fingerprint != about["fingerprint"]:
        raise BadModel(
            f"'{ref.name}' has other weights than when '{model.card.name}' was made of it.",
            "Compress it again.",
        )
    if "original" not in model.memo:
        model.memo["original"] = load(ref, str(model.device))
    found: LoadedModel = model.memo["original"]
    return found
