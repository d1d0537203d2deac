"""What the confined process does with a file of another kind than ``.pt2``.

Run as ``python -m core.models.formats.taking SOURCE CARD SECONDS MEMORY`` (see
``core.confinement.process``): CARD is written last, beside what may be loaded. What the person
says is in ``said.json`` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from core.confinement.deeds import forbid
from core.confinement.limits import confine
from core.confinement.probe import probed
from core.errors import BadModel, shortened
from core.models import huggingface
from core.models.card import ModelCard
from core.models.catalogue import resolve
from core.models.exported.description import Description, completed
from core.models.exported.opening import answer, told_of
from core.models.exported.own import Staged
from core.models.formats import architecture, cards, graphs, onnxbytes
from core.models.formats.admitted import LINKED
from core.models.formats.folder import cleaned
from core.models.formats.kind import Kind, kind_of
from core.models.formats.running import ran
from core.models.formats.statefile import weights_of
from core.models.loader import build
from core.models.text import tokenizer_of
from core.provenance import sha256
from core.tasks import Task

SAID = "said.json"
_STRIPPED = ("", "module.", "_orig_mod.", "model.", "net.", "network.", "module.model.")
_ADDED = ("", "model.")
_PREPARED = ("channels", "height", "width", "mean", "std", "fit", "box", "features")


def main(source: Path, target: Path, seconds: int, memory: int) -> dict[str, Any]:
    """Take what may be taken of ``source``, load it, run it. Raises ``BadModel``."""

    def work() -> dict[str, Any]:
        confine(seconds, memory, 4 * size_of(source) + 2**26)
        kind = kind_of(source)
        said = Description.read((target.parent / SAID).read_text(encoding="utf-8"))
        take = _WAYS.get(kind, _weights)
        about, notes = take(source, kind, said, target.parent)
        target.write_text(json.dumps(about, indent=1), encoding="utf-8")
        return {"notes": notes, **about["found"]}

    return told_of(source, memory, work)


def size_of(source: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    if source.is_file():
        return onnxbytes.size(source) if kind_of(source) is Kind.ONNX else source.stat().st_size
    return sum(each.stat().st_size for each in source.iterdir() if each.is_file())


def _weights(
    source: Path, kind: Kind, said: Description, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """Weights in the architecture that the card names: kept under its own names of tensors."""
    if not said.architecture:
        forbid()
        tensors, _ = weights_of(source, kind)  # what is more than weights is told first
        raise BadModel(
            f"'{shortened(source.name, 80)}' holds {len(tensors):,} tensors, and weights alone do "
            "not say which network they belong to.",
            architecture.WANTED,
        )
    said = _with_usual(said)
    task = said.task or Task.IMAGE_CLASSIFICATION
    module = architecture.build(said.architecture, task.value)
    forbid()
    tensors, notes = weights_of(source, kind)
    fitted, more = _fitted(module.state_dict(), tensors)
    found: dict[str, Any] = {
        "parameters": sum(each.numel() for each in module.parameters()),
        "inputs": [input_of(module, said, task)],
        "answer": [1, 2] if task is Task.CAUSAL_LANGUAGE_MODEL else [2],
        "widths": [],
        "lengths": [1, longest_of(module)],
    }
    about: dict[str, Any] = {
        "kind": cards.WEIGHTS_KIND,
        "origin": {"file": shortened(source.name)},
        "found": found,
    }
    # With any number of classes first, to see how many it has.
    draft, _ = completed(replace(said, classes=()), found)
    kept = Staged(folder, found, draft, about["origin"], False, cards.WEIGHTS_KIND)
    made = cards.card(shortened(source.name, 80), folder, kept)
    module = build(made, fitted)
    _probe(made)
    found |= ran(made, module)
    final, assumed = completed(said, found)
    about["description"] = json.loads(final.written())
    try:
        save_file(fitted, folder / cards.WEIGHTS, {"said": sha256(final.written().encode())})
    except SafetensorError as error:  # it says no more than this of a full disk
        raise OSError(0, str(error).removeprefix("Error while serializing: ")) from None
    return about, [*notes, *more, *assumed]


def _folder(
    source: Path, kind: Kind, said: Description, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """A folder of transformers, with its head, tokenizer and class names."""
    import transformers  # before anything is forbidden

    notes = cleaned(source, folder, (folder / LINKED).exists())
    try:
        card = huggingface.read(folder, "")
    except BadModel as error:
        name = shortened(source.name, 80)
        raise BadModel(error.message.replace(folder.name, name), error.next_step) from None
    card = replace(card, name=shortened(source.name, 80), title=shortened(source.name, 60))
    if said.task not in (None, card.task):
        raise BadModel(
            f"'{card.name}' is a model for {card.task.value}, not for {said.task}.",
            "Leave --task out.",
        )
    if said.classes and len(said.classes) != len(card.classes):
        raise BadModel(
            f"There are {len(said.classes)} names of classes, and the network has "
            f"{len(card.classes)} outputs.",
            "Name every output, in their order.",
        )
    _known(transformers, folder, card.name)
    forbid("ctypes.dlopen")  # the library imports its parts as they are needed
    try:
        module: nn.Module = resolve(card.factory)(**card.arguments)
        _probe(card)
        seen = ran(card, module)
    except BadModel as error:  # it knows the folder under our name
        raise BadModel(error.message.replace(folder.name, card.name), error.next_step) from None
    if card.classes and seen["answer"] != [len(card.classes)]:
        raise BadModel(
            f"The configuration names {len(card.classes)} classes, and the network answers with "
            f"{seen['answer'][-1]} numbers.",
            "Correct id2label in its config.json.",
        )
    found = {
        "parameters": sum(each.numel() for each in module.parameters()),
        "inputs": [input_of(module, said, card.task)],
        "widths": [],
        "lengths": [1, longest_of(module)],
        **seen,
    }
    notes += _surplus(module) + _alike(folder, card)
    about = {
        "kind": cards.FOLDER_KIND,
        "origin": {"file": shortened(source.name)},
        "found": found,
        "description": json.loads(replace(said, task=None).written()),
    }
    return about, notes


def _surplus(module: nn.Module) -> list[str]:
    names = getattr(getattr(module, "model", None), "surplus", ())
    if not names:
        return []
    shown = [shortened(each, 60) for each in names[:3]]
    rest = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"tensors left out that are no part of the network: {', '.join(shown)}{rest}"]


def _alike(folder: Path, card: ModelCard) -> list[str]:
    """A note on classes that have the same name in the configuration."""
    named = json.loads((folder / "config.json").read_bytes()).get("id2label")
    if not card.classes or not isinstance(named, dict):
        return []
    words = [" ".join(str(each).split()) for each in named.values()]
    twice = sorted({each for each in words if words.count(each) > 1})
    if not twice:
        return []
    shown = ", ".join(shortened(each, 40) for each in twice[:3]) + (" …" if len(twice) > 3 else "")
    return [f"classes of the same name are told apart by their numbers: {shown}"]


def _probe(about: ModelCard) -> None:
    if about.tokenizer:
        probed(tokenizer_of(about).encode)


def _known(library: Any, folder: Path, name: str) -> None:
    """Refuse an architecture that only code of its own would know."""
    kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
    if kind not in library.CONFIG_MAPPING:
        raise BadModel(
            f"'{name}' is a model of the type '{shortened(kind, 40)}', which transformers "
            f"{library.__version__} does not know without code of its own; that is not run.",
            "Export it with torch.export.save, or name your own code on the command line as "
            "package.module:factory.",
        )


def _with_usual(said: Description) -> Description:
    """With what the architecture itself says of the task and the preparation of inputs."""
    spec = said.architecture
    if (base := architecture.announced(spec)) is not None:
        if said.task not in (None, base.task):
            raise BadModel(
                f"'{spec['name']}' is a network for {base.task.value}, not for {said.task}.",
                "Leave --task out.",
            )
        prepared: Mapping[str, Any] = base.raw.get("preprocessing", {})
        usual = {key: prepared[key] for key in _PREPARED if prepared.get(key) is not None}
        own = base.task.axis == "tokens"
        return said.over(
            Description(
                task=base.task,
                classes=() if spec.get("arguments") else base.classes,
                preprocessing=usual,
                tokenizer={cards.OF_SAMPLE: spec["name"]} if own else {},
                independent=base.independent,
            )
        )
    task = said.task
    if task is None and "model_type" in spec:
        if not spec.get("architectures"):
            raise BadModel(
                "The card does not say what the network is for.",
                "Say it with --task, or keep 'architectures' in its configuration.",
            )
        task = huggingface.task_of("The card", spec)
    task = task or Task.IMAGE_CLASSIFICATION
    sides = architecture.image_sides(spec) if task is Task.IMAGE_CLASSIFICATION else {}
    return said.over(Description(task=task, preprocessing=sides))


def _fitted(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under the names of the architecture and in its types, and notes on it.

    What training scripts put before names is left out where it makes them fit. A weight that is
    the same as another in the network is saved once by some tools, and twice here.
    """
    best, dropped = dict(given), ""
    most = -1
    for start in _STRIPPED:
        for more in _ADDED:
            named = {more + name.removeprefix(start): name for name in given}
            hits = len(named.keys() & expected.keys())
            if hits > most and len(named) == len(given):
                best = {new: given[old] for new, old in named.items()}
                dropped, most = start, hits
    notes = [f"'{dropped}' before the names of tensors left out"] if dropped else []
    homes: dict[tuple[int, Any], str] = {}
    for name, tensor in expected.items():
        if name in best and tensor.numel():
            homes.setdefault((tensor.data_ptr(), tensor.shape), name)
    for name, tensor in expected.items():
        same = homes.get((tensor.data_ptr(), tensor.shape))
        if name not in best and same is not None:
            best[name] = best[same]
    changed: dict[str, int] = {}
    made = {}
    for name, tensor in best.items():
        wanted = expected[name].dtype if name in expected else tensor.dtype
        if tensor.is_floating_point() and tensor.dtype != wanted:
            key = f"{str(tensor.dtype)[6:]} to {str(wanted)[6:]}"
            changed[key] = changed.get(key, 0) + 1
        fits = name in expected and tensor.shape == expected[name].shape
        made[name] = tensor.to(wanted).clone().contiguous() if fits else tensor
    notes += [f"{count:,} weights converted from {key}" for key, count in changed.items()]
    return made, notes


def input_of(module: nn.Module, said: Description, task: Task) -> dict[str, Any]:
    """The input as an exported program would describe it."""
    if task is Task.IMAGE_CLASSIFICATION:
        first = next((each for each in module.modules() if isinstance(each, nn.Conv2d)), None)
        channels = said.preprocessing.get("channels")
        if first is not None:
            channels = first.in_channels
        free: list[int | None] = [None, channels, None, None]
        least = [1, channels or 3, 1, 1]
        return {"name": "pixels", "dtype": "float32", "least": least, "most": free}
    if task is Task.TABULAR_CLASSIFICATION:
        linear = next((each for each in module.modules() if isinstance(each, nn.Linear)), None)
        width = linear.in_features if linear is not None else 1
        return {"name": "rows", "dtype": "float32", "least": [1, width], "most": [None, width]}
    most = longest_of(module)
    return {"name": "ids", "dtype": "int64", "least": [1, 1], "most": [None, most]}


def longest_of(module: nn.Module) -> int | None:
    """The most tokens that a network of transformers takes; None where it is not known."""
    config = getattr(getattr(module, "model", None), "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        return None
    from core.models.transformer_tokenizer import longest

    return longest(config)


_WAYS = {Kind.FOLDER: _folder, Kind.ONNX: graphs.taken, Kind.SKOPS: graphs.taken}

if __name__ == "__main__":
    answer(main)
