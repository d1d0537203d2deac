"""A stranger's folder of transformers: what of it is taken over, and how it is made harmless.

Configurations are parsed and written anew without whatever names code, other places or files;
weights are safetensors whose headers were read; everything else is left out and told.
Imports no torch.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from core.errors import BadModel, shortened
from core.models.formats.tensors import checked
from core.models.huggingface import WEIGHTS, shards

_JSON = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json",
)  # fmt: skip
_PLAIN = (
    "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model",
    "source.spm", "target.spm",
)  # fmt: skip
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
_INDEX = f"{WEIGHTS}.index.json"
_LARGEST = 256 * 2**20
_MOST_FILES = 2000
# Keys that name code, or weights and files elsewhere.
_NEVER = re.compile(
    r"auto_map|custom_pipelines|.*_implementation(_internal)?|use_kernels|_?name_or_path"
    r"|.*_file|use_pretrained_backbone|trust_remote_code|transformers_weights|code_revision"
)
_REFUSED = {
    "quantization_config": "its weights are quantised, which needs kernels of other libraries",
    "use_timm_backbone": "its backbone is of timm and is fetched from elsewhere",
}
_AGAIN = "Save it again with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."


def cleaned(source: Path, target: Path, linked: bool = False) -> list[str]:
    """Write to ``target`` what is taken of the folder ``source``; notes on what is not. Weights are
    copied, unless they are ``linked`` to already (``link``).

    Raises ``BadModel`` for links that lead out of it, weights that only pickle can read, damaged
    or too large files, and models that need code or weights from elsewhere.
    """
    name = shortened(source.name, 80)
    files = sorted(source.iterdir())
    if len(files) > _MOST_FILES:
        raise BadModel(f"'{name}' has {len(files):,} files.", "Give the folder of one model.")
    for each in files:
        if each.is_symlink() and not _inside(each, source):
            raise BadModel(
                f"'{shortened(each.name, 80)}' in '{name}' is a link that leads out of it.",
                "Copy the folder with what its links point to.",
            )
    notes: list[str] = []
    for own in _JSON:
        if (source / own).is_file():
            notes += _rewritten(source / own, target / own)
    for own in _PLAIN:
        if (source / own).is_file():
            _limited(source / own)
            shutil.copyfile(source / own, target / own)
    parts = _weights(source, name)
    for part in parts:
        if part.suffix == ".json":
            _rewritten(part, target / part.name)
        else:
            checked(part)
            if not linked:
                shutil.copyfile(part, target / part.name)
    taken = {*_JSON, *_PLAIN, *(each.name for each in parts)}
    left = [each.name for each in files if each.name not in taken and not _harmless(each)]
    if left:
        more = f" and {len(left) - 6} more" if len(left) > 6 else ""
        shown = ", ".join(shortened(each, 40) for each in left[:6])
        notes.append(f"left out {shown}{more}: no code, pickle or folder is taken over")
    return notes


def link(source: Path, target: Path) -> None:
    """Make links in ``target`` to all that may be weights in ``source``. The process that opens
    them makes none: where it was taken over, they would lead anywhere.
    """
    for each in source.glob("*.safetensors"):
        if each.is_file() and _inside(each, source):
            (target / each.name).symlink_to(each.resolve())


def _harmless(path: Path) -> bool:
    """What nobody misses: a description, a licence, where the hub keeps its books."""
    return path.is_file() and path.suffix.lower() in (".md", "", ".txt", ".gitattributes")


def _inside(path: Path, folder: Path) -> bool:
    """Whether a link stays in its folder, or in the store of files beside the hub's own folders."""
    place = path.resolve()
    home = folder.resolve()
    store = home.parent.parent / "blobs"
    return place.is_relative_to(home) or (
        home.parent.name == "snapshots" and place.is_relative_to(store)
    )


def _weights(source: Path, name: str) -> list[Path]:
    if (source / WEIGHTS).is_file():
        return [source / WEIGHTS]
    if (source / _INDEX).is_file():
        return [source / _INDEX, *shards(source / _INDEX)]
    pickled = [
        each.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
        for each in sorted(source.glob(pattern))
    ]
    if pickled:
        raise BadModel(
            f"The weights in '{name}' are {shortened(pickled[0], 80)}, which only unpickling could "
            "read: it was not opened.",
            "Where you trust it: AutoModel….from_pretrained(folder)"
            ".save_pretrained(folder, safe_serialization=True) writes model.safetensors.",
        )
    raise BadModel(f"'{name}' has no weights: there is no {WEIGHTS}.", _AGAIN)


def _limited(path: Path) -> None:
    if path.stat().st_size > _LARGEST:
        raise BadModel(
            f"'{path.name}' has more than {_LARGEST // 2**20} MiB.", "Give the folder of a model."
        )


def _rewritten(source: Path, target: Path) -> list[str]:
    """A configuration as JSON again, without the keys that are not obeyed."""
    _limited(source)
    try:
        found = json.loads(source.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise BadModel(f"'{source.name}' is no JSON, or it is cut off.", _AGAIN) from None
    if not isinstance(found, dict):
        raise BadModel(f"'{source.name}' is no JSON object.", _AGAIN)
    dropped: set[str] = set()
    if source.name not in _VOCABULARIES:
        for key, why in _REFUSED.items():
            if found.get(key):
                raise BadModel(f"'{source.name}' has '{key}': {why}.", "Save the model without it.")
        found = _without(found, dropped)
    target.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    code = sorted(dropped & {"auto_map", "custom_pipelines", "trust_remote_code"})
    return [f"'{each}' of {source.name} is not obeyed: no code is run" for each in code]


def _without(value: Any, dropped: set[str]) -> Any:
    if isinstance(value, dict):
        dropped |= {key for key in value if _NEVER.fullmatch(key)}
        return {k: _without(v, dropped) for k, v in value.items() if not _NEVER.fullmatch(k)}
    if isinstance(value, list):
        return [_without(each, dropped) for each in value]
    return value
