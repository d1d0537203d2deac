"""The live module of a card of one's own: what ``core.models.loader`` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from core.confinement.folders import temporary
from core.models.exported.clean import clean
from core.models.exported.module import ExportedModule, program


def module(
    path: str,
    filled: Mapping[str, str],
    widths: Sequence[int],
    batch: int,
    output: int,
    freed: int = 0,
    held: Mapping[str, Mapping[str, Any]] | None = None,
) -> nn.Module:
    """The layers of the program in ``path``, which is looked over again: a workspace may be shared.

    Raises ``BadModel``.
    """
    with temporary() as folder:
        cleaned = folder / "model.pt2"
        clean(Path(path), cleaned)
        whole = program(cleaned)
    return ExportedModule(whole, filled, widths, batch, output, freed, held).eval()
