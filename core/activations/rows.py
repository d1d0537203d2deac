"""What is kept of the examples that went through the network together, before it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.activations.outputs import outside, pooled
from core.activations.plan import Planned
from core.errors import NotValid
from core.models.adapter import Batch
from core.results.activations import SCORES, of_manifest

_LARGEST = {"float16": 65504.0, "float32": math.inf}


class Rows:
    """What is kept of the examples that were read together, in arrays that are used again."""

    def __init__(
        self,
        taken: Sequence[Planned],
        manifest: Mapping[str, Any],
        together: int,
        dtype: str,
    ) -> None:
        layers = of_manifest(Path(), manifest).layers
        shapes = {each.name: each.stored for each in layers}
        if list(shapes) != [each.name for each in taken]:
            raise NotValid(
                "The network answers with other layers than when the capture was begun.",
                "Capture into another folder.",
            )
        numbers = torch.float16 if dtype == "float16" else torch.float32
        outputs = max(1, len(manifest["classes"]))
        self._planned = {each.name: each for each in taken}
        self._ragged = [each.name for each in taken if each.ragged]
        self._kept = {name: torch.empty(together, *s, dtype=numbers) for name, s in shapes.items()}
        self._scores = torch.empty(together, outputs)
        self._files = {each["name"]: each["file"] for each in manifest["layers"]}
        self._largest = _LARGEST[dtype]
        self._nonfinite = dict.fromkeys(shapes, 0)
        self._overflowed = dict.fromkeys(shapes, 0)
        self._places: slice | Tensor = slice(0)
        self._names: tuple[str, ...] = ()
        self._seen: set[str] = set()

    def clear(self) -> None:
        """Begin with other examples."""
        for name in self._ragged:
            self._kept[name].fill_(math.nan)

    def at(self, places: tuple[int, ...], batch: Batch) -> None:
        """The next forward is for the examples in these places."""
        straight = places == tuple(range(places[0], places[0] + len(places)))
        self._places = slice(places[0], places[-1] + 1) if straight else torch.tensor(places)
        self._names = batch.names
        self._seen.clear()

    def take(self, name: str, layer: nn.Module, output: Tensor, lengths: Tensor | None) -> None:
        """Keep what is asked for of one output."""
        about = self._planned.get(name)
        if about is None:
            return
        kept = self._kept[name]
        try:
            values = _taken(about, output, lengths)
        except (IndexError, RuntimeError):
            raise self._changed(name, output) from None
        room = tuple(kept.shape[1:])
        if values.shape[0] != len(self._names) or len(values.shape) != len(room) + 1:
            raise self._changed(name, output)
        if values.shape[1:] != room:
            if not about.ragged or any(a > b for a, b in zip(values.shape[1:], room, strict=True)):
                raise self._changed(name, output)
            kept = kept[(slice(None), *(slice(size) for size in values.shape[1:]))]
        self._seen.add(name)
        if isinstance(self._places, slice):
            stored = kept[self._places]
            stored.copy_(values)  # to other numbers and another place in one go
        else:
            stored = values.to("cpu", kept.dtype)
            kept[self._places] = stored
        if _odd(stored):
            self._count(about, values, lengths)

    def _count(self, about: Planned, values: Tensor, lengths: Tensor | None) -> None:
        """Count what is not finite, and what is too large for the numbers that are kept."""
        strange = values.isfinite().logical_not()
        if lengths is not None and about.pool == "whole":  # NaN stands after the end
            inside = outside(values, lengths).logical_not()
            strange &= inside if about.units_last else inside.transpose(1, 2)
        self._nonfinite[about.name] += int(strange.sum())
        large = values.isfinite() & (values.abs() > self._largest)
        self._overflowed[about.name] += int(large.sum())

    def score(self, logits: Tensor) -> None:
        """Keep what the model answered, and see that every layer was asked."""
        missing = [name for name in self._planned if name not in self._seen]
        if missing:
            raise NotValid(
                f"The layer '{missing[0]}' was not called for '{self._names[0]}' as it was for "
                "others.",
                "Choose the layer around it.",
            )
        whole = logits.float().cpu()
        if whole.shape[1] != self._scores.shape[1]:  # of a model that writes: its last column
            whole = whole[:, -1:]
        self._scores[self._places] = whole

    def by_file(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """The first rows of each file's array."""
        found = {self._files[name]: kept[:count].numpy() for name, kept in self._kept.items()}
        return {**found, SCORES: self._scores[:count].numpy()}

    def tell(self, manifest: dict[str, Any]) -> None:
        """Add to the manifest what was wrong with these examples' numbers."""
        for layer in manifest["layers"]:
            layer["nonfinite"] += self._nonfinite[layer["name"]]
            layer["overflowed"] += self._overflowed[layer["name"]]
        self._nonfinite = dict.fromkeys(self._nonfinite, 0)
        self._overflowed = dict.fromkeys(self._overflowed, 0)

    def _changed(self, name: str, output: Tensor) -> NotValid:
        return NotValid(
            f"The layer '{name}' answered with shape {tuple(output.shape)} to '{self._names[0]}', "
            "which does not go with the others.",
            "Choose the layer around it, or pool its positions.",
        )


def _odd(stored: Tensor) -> bool:
    """Whether any number is NaN or infinite, a hundred times faster than asking each of them."""
    if stored.dtype == torch.float16:
        exponents = stored.view(torch.int16).bitwise_and(0x7C00)
        return int(exponents.max()) == 0x7C00
    return not math.isfinite(float(stored.sum()))


def _taken(about: Planned, output: Tensor, lengths: Tensor | None) -> Tensor:
    """What is kept of an output, in the order in which it is stored."""
    if about.pool != "whole" or not about.positions:
        values = pooled(output, about.positions, about.pool, lengths)
        if not about.scalar and about.order[0] > about.order[1]:
            values = values.transpose(0, 1)
        return values.unsqueeze(1) if about.scalar else values
    if lengths is not None and int(lengths.min()) < output.shape[1]:
        output = output.masked_fill(outside(output, lengths), math.nan)
    if about.units_last:
        return output.permute(about.order[0], *about.order[2:], about.order[1])
    values = output.permute(about.order)
    return values.unsqueeze(1) if about.scalar else values
