"""Model folders as the transformers library saves them: configuration, safetensors, tokenizer.

A model is named ``hf:<folder>``, or by the path of its folder alone, or ``hf:<owner>/<name>`` on
the hub, which is fetched once where there is a network. All are let in by the door that strangers'
files come by; code that comes with a model is never run, and weights are read from safetensors
only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadModel, MissingExtra, UnknownName, shortened
from core.models.card import ImagePreprocessing, ModelCard
from core.paths import located, read_json
from core.tasks import Task

PREFIX = "hf:"
WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.spm")
_TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model", "source.spm",
)  # fmt: skip
_FACTORIES = {
    Task.TEXT_CLASSIFICATION: "core.models.transformer:classifier",
    Task.TRANSLATION: "core.models.transformer:encoder_decoder",
    Task.CAUSAL_LANGUAGE_MODEL: "core.models.transformer:causal",
    Task.IMAGE_CLASSIFICATION: "core.models.transformer:image_classifier",
}
_LARGEST_HEADER = 100_000_000
_MOST_CLASSES = 1_000_000
_LONGEST_NUMBER = 9  # digits
_LONGEST_CLASS = 200  # characters
_LARGEST_SIDE = 4096


def knows(name: str) -> bool:
    """Whether a name means such a model."""
    return name.startswith(PREFIX) or (name.startswith(("/", "~")) and is_folder(Path(name)))


def is_folder(path: Path) -> bool:
    """Whether a folder holds the configuration of such a model."""
    try:
        return path.is_dir() and "model_type" in _json(path / _CONFIG)
    except BadModel:  # torn, and for ``card`` to tell, where there is more of such a model
        return any((path / each).is_file() for each in _TOKENIZERS)
    except (OSError, ValueError):
        return False


def card(name: str) -> ModelCard:
    """The card of a model, which is opened first by the door that all strangers' files come by
    (``core.models.formats.admitted``).

    Raises ``UnknownName`` when there is no such folder, ``BadModel`` when it holds another kind of
    model, no tokenizer, or weights that only pickle can read, ``MissingExtra`` when it has to be
    fetched and the package for that is missing.
    """
    from core.models.formats.admitted import home

    folder = named(name)
    return read(home(folder), name, folder)


def read(folder: Path, name: str, source: Path | None = None) -> ModelCard:
    """The card of what lies in ``folder``, made from its configuration; ``source`` is where it
    comes from. Raises ``BadModel`` as ``card`` does.
    """
    source = source or folder
    config = _json(folder / _CONFIG)
    if (kernel := _kernel(config)) is not None:
        raise BadModel(
            f"The configuration of '{folder.name}' wants '{shortened(kernel, 80)}' of the hub, "
            "code that would be fetched and run.",
            f"Remove the setting that ends in _implementation from its {_CONFIG}.",
        )
    task = task_of(folder.name, config)
    weights = _weights(folder)
    files = (weights, *shards(weights))
    pictures = task is Task.IMAGE_CLASSIFICATION
    if not pictures and not any((folder / each).is_file() for each in _TOKENIZERS):
        raise BadModel(
            f"'{folder.name}' has no tokenizer: there is no {_TOKENIZERS[0]}.",
            "Save the tokenizer into the same folder: tokenizer.save_pretrained(folder).",
        )
    kind, several = _kind(config), config.get("problem_type") == "multi_label_classification"
    one_by_one = " Its classes are judged one by one: several may be true." if several else ""
    return ModelCard(
        name=name,
        title=source.name if len(source.name) < 60 else f"{source.name[:57]}…",
        task=task,
        summary=f"{kind} from {source}.{one_by_one} What it was trained on is not known here.",
        factory=_FACTORIES[task],
        classes=_classes(folder, config) if task.value.endswith("classification") else (),
        independent=several,
        preprocessing=_pictures(folder) if pictures else None,
        folder=folder,
        weights=weights.name,
        weights_factory=None,
        extra="text",
        modules_needed=("transformers",),
        raw={
            "parameters": sum(_parameters(each) for each in files if each.suffix != ".json"),
            "summary": kind,
            "data": {},
            "training": {},
            "licence": "see the model's own card",
        },
        arguments={"folder": str(folder)},
        tokenizer="" if pictures else "core.models.transformer_tokenizer:of",
        own_weights=True,
    )


def named(name: str) -> Path:
    """The folder that a model's name means. Raises ``UnknownName`` and, of the hub, as ``card``."""
    name = name.removeprefix(PREFIX)
    path = located(name)
    if name and path.is_dir():
        return path
    if name.startswith(("/", "~")) or not _HUB.fullmatch(name):
        raise UnknownName(
            f"There is no folder '{name}'.",
            "Expected a folder with config.json and model.safetensors, or owner/name on the hub.",
        )
    from core.models.formats.admitted import unhurried

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
    unhurried(name)
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
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise BadModel(
            f"The {path.name} in '{path.parent.name}' cannot be read: {error}.",
            "Save the model again with save_pretrained(folder).",
        ) from None
    return found if isinstance(found, dict) else {}


def _kernel(value: Any) -> str | None:
    """Code on the hub that a configuration names: the library fetches and runs it."""
    if isinstance(value, list):
        return next((found for each in value if (found := _kernel(each)) is not None), None)
    if not isinstance(value, dict):
        return None
    for key, each in value.items():
        named = each.values() if isinstance(each, dict) else [each]
        if "_implementation" in str(key):
            found = next((one for one in named if isinstance(one, str) and "/" in one), None)
        else:
            found = _kernel(each)
        if found is not None:
            return found
    return None


def task_of(name: str, config: Mapping[str, Any]) -> Task:
    """The task of the class that a configuration was saved from. Raises ``BadModel``."""
    kind = _kind(config)
    if kind.endswith("ForSequenceClassification"):
        return Task.TEXT_CLASSIFICATION
    if kind.endswith("ForImageClassification"):
        return Task.IMAGE_CLASSIFICATION
    if config.get("is_encoder_decoder") and kind.endswith(("ForConditionalGeneration", "MTModel")):
        return Task.TRANSLATION
    if kind.endswith(("ForCausalLM", "LMHeadModel")):
        return Task.CAUSAL_LANGUAGE_MODEL
    raise BadModel(
        f"'{name}' holds {kind or 'a model of an unknown kind'}, which cannot be asked "
        "anything here.",
        "Expected …ForSequenceClassification, …ForImageClassification, …ForCausalLM or an "
        "encoder–decoder …ForConditionalGeneration.",
    )


def _kind(config: Mapping[str, Any]) -> str:
    """The class that a model was saved from, as far as the configuration says it."""
    kinds = config.get("architectures")
    return str(kinds[0]) if isinstance(kinds, list) and kinds else ""


def _weights(folder: Path) -> Path:
    """The file with the weights, or that which says in which files they are."""
    for path in (folder / WEIGHTS, folder / f"{WEIGHTS}.index.json"):
        if path.is_file():
            return path
    found = next(iter([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.h5")]), None)
    what = f"only {found.name}, which is not read" if found else "no weights"
    raise BadModel(
        f"'{folder.name}' has {what}; expected {WEIGHTS}.",
        "Save it again with model.save_pretrained(folder).",
    )


def shards(weights: Path) -> tuple[Path, ...]:
    """The files that an index of weights names; none for weights in one file.

    Raises ``BadModel`` when one is not there, or no safetensors of the same folder.
    """
    if weights.suffix != ".json":
        return ()
    named = _json(weights).get("weight_map")
    names = {str(each) for each in named.values()} if isinstance(named, dict) else set()
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise BadModel(
                f"{weights.name} of '{weights.parent.name}' names '{name}', which is not read.",
                "Expected safetensors in the same folder.",
            )
        if not (weights.parent / name).is_file():
            raise BadModel(
                f"'{weights.parent.name}' lacks {name}, a part of its weights.",
                "Fetch or save the whole folder again.",
            )
    if not names:
        raise BadModel(
            f"{weights.name} of '{weights.parent.name}' names no files.",
            "Save the model again with save_pretrained(folder).",
        )
    return tuple(weights.parent / name for name in sorted(names))


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


def apart(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes of which none is another's: those that are the same get their number, as
    ``crane (517)``.
    """
    taken = set(names)
    found = []
    for index, name in enumerate(names):
        new = f"{name} ({index})" if names.count(name) > 1 else name
        while new != name and new in taken:
            new += "'"
        found.append(new)
        taken.add(new)
    return tuple(found)


def _classes(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    named, count = config.get("id2label"), config.get("num_labels", 2)
    if isinstance(named, dict) and named:
        if not all(str(key).isdecimal() for key in named):
            raise BadModel(
                f"The classes of '{folder.name}' are not numbered: {', '.join(named)[:80]}.",
                'Expected "id2label": {"0": …, "1": …} in config.json.',
            )
        if max(map(len, named)) > _LONGEST_NUMBER:
            raise BadModel(
                f"The classes of '{folder.name}' have numbers that no class has.",
                'Expected "id2label": {"0": …, "1": …} in config.json.',
            )
        names = ((key, " ".join(str(named[key]).split())) for key in sorted(named, key=int))
        found = apart([text[:_LONGEST_CLASS] or f"LABEL_{key}" for key, text in names])
    elif isinstance(count, int) and 0 < count < _MOST_CLASSES:
        found = tuple(f"LABEL_{index}" for index in range(count))
    else:
        found = ()
    kind = config.get("problem_type")
    if kind == "regression" or len(found) < 2:
        raise BadModel(
            f"'{folder.name}' answers with {'numbers' if kind == 'regression' else 'one number'}, "
            "not with classes.",
            "Expected a classifier of at least two classes.",
        )
    return found


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
    for what, value in (("height", height), ("width", width)):
        if type(value) is not int or not 0 < value <= _LARGEST_SIDE:
            raise _unprepared(folder, what, value)
    for what, values in (("mean", mean), ("std", std)):
        fine = isinstance(values, list) and len(values) in (1, 3)
        if not fine or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise _unprepared(folder, what, values)
    if len(mean) != len(std) or min(std) <= 0:
        raise _unprepared(folder, "std", std)
    return ImagePreprocessing(
        channels=len(mean),
        height=height,
        width=width,
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
    )


def _unprepared(folder: Path, what: str, value: Any) -> BadModel:
    return BadModel(
        f"The preprocessor_config.json of '{folder.name}' says {what} is "
        f"{shortened(repr(value), 60)}.",
        "Save the processor of the model again with processor.save_pretrained(folder).",
    )
