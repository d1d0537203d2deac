"""Model folders as the transformers library saves them: configuration, safetensors, tokenizer.

A model is named ``hf:<folder>``, or by the path of its folder alone, or ``hf:<owner>/<name>`` on
the hub, which is fetched once where there is a network. Its card is made from ``config.json``
without importing anything; code that comes with a model is never run, and weights are read from
safetensors only.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from core.errors import BadModel, MissingExtra, UnknownName
from core.models.card import ImagePreprocessing, ModelCard
from core.tasks import Task

PREFIX = "hf:"
WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")
_FACTORIES = {
    Task.TEXT_CLASSIFICATION: "core.models.transformer:classifier",
    Task.TRANSLATION: "core.models.transformer:encoder_decoder",
    Task.CAUSAL_LANGUAGE_MODEL: "core.models.transformer:causal",
    Task.IMAGE_CLASSIFICATION: "core.models.transformer:image_classifier",
}
_LARGEST_HEADER = 100_000_000


def knows(name: str) -> bool:
    """Whether a name means such a model."""
    return name.startswith(PREFIX) or is_folder(Path(name))


def is_folder(path: Path) -> bool:
    """Whether a folder holds the configuration of such a model."""
    try:
        return path.is_dir() and "model_type" in _json(path / _CONFIG)
    except (BadModel, OSError, ValueError):
        return False


def card(name: str) -> ModelCard:
    """The card of a model, made from its configuration.

    Raises ``UnknownName`` when there is no such folder, ``BadModel`` when it holds another kind of
    model, no tokenizer, or weights that only pickle can read, ``MissingExtra`` when it has to be
    fetched and the package for that is missing.
    """
    folder = _folder(name.removeprefix(PREFIX))
    config = _json(folder / _CONFIG)
    task = _task(folder, config)
    weights = _weights(folder)
    pictures = task is Task.IMAGE_CLASSIFICATION
    if not pictures and not any((folder / each).is_file() for each in _TOKENIZERS):
        raise BadModel(
            f"'{folder.name}' has no tokenizer: there is no {_TOKENIZERS[0]}.",
            "Save the tokenizer into the same folder: tokenizer.save_pretrained(folder).",
        )
    kind = str(config.get("architectures", [""])[0])
    return ModelCard(
        name=name,
        title=folder.name if len(folder.name) < 60 else f"{folder.name[:57]}…",
        task=task,
        summary=f"{kind} from {folder}. What it was trained on is not known here.",
        factory=_FACTORIES[task],
        classes=_classes(config) if task.value.endswith("classification") else (),
        preprocessing=_pictures(folder) if pictures else None,
        folder=folder,
        weights=weights.name,
        weights_factory=None,
        extra="text",
        modules_needed=("transformers",),
        raw={
            "parameters": _parameters(weights),
            "summary": kind,
            "data": {},
            "training": {},
            "licence": "see the model's own card",
        },
        arguments={"folder": str(folder)},
        tokenizer="" if pictures else "core.models.transformer_tokenizer:of",
        own_weights=True,
    )


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path.absolute()
    if path.is_absolute() or not _HUB.fullmatch(name):
        raise UnknownName(
            f"There is no folder '{name}'.",
            "Expected a folder with config.json and model.safetensors, or owner/name on the hub.",
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra(
            f"'{name}' has to be fetched, which needs an optional package.",
            "Install it with: pip install 'fluoroscope[text]'.",
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FETCHED), local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FETCHED)))
    except Exception as error:  # no network, no such model, no permission: the library's own words
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise BadModel(
            f"'{name}' is not on this machine and cannot be fetched: {reason.rstrip('.')}.",
            "Check the name and the network, or give the path of a folder.",
        ) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadModel(
            f"The {path.name} in '{path.parent.name}' cannot be read: {error}.",
            "Save the model again with save_pretrained(folder).",
        ) from None
    return found if isinstance(found, dict) else {}


def _task(folder: Path, config: dict[str, Any]) -> Task:
    kinds = config.get("architectures") or [""]
    kind = str(kinds[0])
    if kind.endswith("ForSequenceClassification"):
        return Task.TEXT_CLASSIFICATION
    if kind.endswith("ForImageClassification"):
        return Task.IMAGE_CLASSIFICATION
    if config.get("is_encoder_decoder") and kind.endswith(("ForConditionalGeneration", "MTModel")):
        return Task.TRANSLATION
    if kind.endswith(("ForCausalLM", "LMHeadModel")):
        return Task.CAUSAL_LANGUAGE_MODEL
    raise BadModel(
        f"'{folder.name}' holds {kind or 'a model of an unknown kind'}, which cannot be asked "
        "anything here.",
        "Expected …ForSequenceClassification, …ForImageClassification, …ForCausalLM or an "
        "encoder–decoder …ForConditionalGeneration.",
    )


def _weights(folder: Path) -> Path:
    path = folder / WEIGHTS
    if path.is_file():
        return path
    if (folder / f"{WEIGHTS}.index.json").is_file():
        raise BadModel(
            f"The weights of '{folder.name}' are in several files.",
            "Save it in one: model.save_pretrained(folder, max_shard_size='1000GB').",
        )
    found = next(iter([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.h5")]), None)
    what = f"only {found.name}, which is not read" if found else "no weights"
    raise BadModel(
        f"'{folder.name}' has {what}; expected {WEIGHTS}.",
        "Save it again with model.save_pretrained(folder).",
    )


def _parameters(weights: Path) -> int:
    """The number of values in a safetensors file, by its header."""
    try:
        with weights.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(min(size, _LARGEST_HEADER)))
        return sum(math.prod(v["shape"]) for k, v in header.items() if k != "__metadata__")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        raise BadModel(
            f"The weights file {weights.name} in '{weights.parent.name}' cannot be read.",
            "It may be cut off or damaged: fetch or save it again.",
        ) from None


def _classes(config: dict[str, Any]) -> tuple[str, ...]:
    named = config.get("id2label")
    if isinstance(named, dict) and named:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    return tuple(f"LABEL_{index}" for index in range(int(config.get("num_labels", 2))))


def _pictures(folder: Path) -> ImagePreprocessing:
    """How the folder's processor prepares pictures, as far as it can be said in our terms."""
    about = _json(folder / "preprocessor_config.json")
    size, crop = about.get("size", 224), about.get("crop_size")
    if about.get("do_center_crop") and crop:
        size = crop
    sides = size if isinstance(size, dict) else {"shortest_edge": size}
    short: Any = sides.get("shortest_edge", 224)
    height: Any = sides.get("height", short)
    width: Any = sides.get("width", short)
    plain = about.get("do_normalize") is False
    mean = [0.0] * 3 if plain else about.get("image_mean", [0.5] * 3)
    std = [1.0] * 3 if plain else about.get("image_std", [0.5] * 3)
    return ImagePreprocessing(
        channels=len(mean),
        height=int(height),
        width=int(width),
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
    )
