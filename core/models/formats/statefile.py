"""Weights that ``torch.save`` wrote: tensors by name, read without running anything of the file.

Only for the confined process (``core.models.formats.taking``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.archive import is_zip
from core.data.members import ANY_SIZE, opened
from core.errors import BadModel, shortened
from core.models.formats.kind import CONVERT, Kind
from core.models.formats.tensors import checked

_WITHIN = ("state_dict", "model_state_dict", "model", "net", "network", "params", "module")


def weights_of(path: Path, kind: Kind) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a file by name, and notes on where they were found.

    Raises ``BadModel`` when the file holds anything but tensors, or is damaged.
    """
    if kind is Kind.SAFETENSORS:
        from safetensors.torch import load_file

        if not checked(path):
            raise BadModel(f"'{path.name}' holds no tensor.", "Save the weights again.")
        return load_file(path), []
    _stored(path)
    try:
        whole: Any = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a stranger's file may break the reader in any way
        raise _refused(path, str(error)) from None
    return _tensors(path, whole)


def _stored(path: Path) -> None:
    """torch never compresses: what is compressed was made by hand, and may be a bomb."""
    if is_zip(path):
        archive, _ = opened(
            path,
            path.name,
            error=BadModel,
            bounds=ANY_SIZE,
            never_packed_by="torch.save",
            again=CONVERT,
        )
        archive.close()


def _refused(path: Path, said: str) -> BadModel:
    name = shortened(path.name, 80)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wanted = next((line for line in lines if "GLOBAL" in line or "tar" in line.lower()), "")
    if "Weights only load failed" in said or "GLOBAL" in said or "Unsupported" in said:
        what = wanted.partition("GLOBAL ")[2].split(" ")[0].strip("`'.,")
        which = f" (it names {shortened(what, 80)})" if what else ""
        return BadModel(
            f"'{name}' holds more than tensors{which}; opening it could run any code, so it was "
            "not opened.",
            CONVERT,
        )
    reason = shortened(lines[0] if lines else "it is damaged", 160)
    return BadModel(f"'{name}' cannot be read: {reason.rstrip('.')}.", CONVERT)


def _tensors(path: Path, whole: Any) -> tuple[dict[str, Tensor], list[str]]:
    notes = []
    found = whole
    if isinstance(whole, Mapping) and not _named(whole):
        for key in _WITHIN:
            if isinstance(inner := whole.get(key), Mapping) and _named(inner):
                found = inner
                notes.append(f"weights taken from '{key}' of the file")
                break
    if not isinstance(found, Mapping) or not _named(found):
        raise BadModel(f"'{path.name}' holds no tensors by name.", CONVERT)
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):
            notes.append(f"left out {shortened(name, 60)}, which is no tensor")
            continue
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise BadModel(
                f"'{shortened(name, 80)}' in '{path.name}' is sparse, quantised or empty of data.",
                "Save plain tensors: model.float().state_dict().",
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise BadModel(
                f"'{shortened(name, 80)}' in '{path.name}' claims more numbers than there are.",
                CONVERT,
            )
        tensors[str(name)] = tensor.detach()
    return tensors, notes


def _named(given: Mapping[Any, Any]) -> bool:
    """Whether there are tensors by name in it, and not only in what it holds."""
    return any(isinstance(each, Tensor) for each in given.values())
