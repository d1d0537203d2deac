"""What to capture, found out by looking at a few small forwards.

Each is made with one example two and three times over: the dimension that grows is that of the
examples. What differs between texts of different lengths are positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from core.activations.outputs import unit_first, watched
from core.errors import NotValid, UnknownName
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.results.activations import Pool

_TWICE = (2, 3)  # how often an example is repeated


@dataclass(frozen=True)
class Planned:
    """One tensor to capture. ``order`` are its dimensions in the order example, unit, position …;
    ``shape`` is ``(unit, position …)`` of one example, 0 where texts differ; ``follows`` says for
    each of these which length of a batch it follows and by how much it is longer. ``size`` is
    about how many numbers one example has before pooling.
    """

    name: str
    kind: str
    order: tuple[int, ...]
    shape: tuple[int, ...]
    pool: Pool
    follows: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    size: int = 0
    scalar: bool = False  # one number per example or position: there is no unit
    units_last: bool = False  # in the network's memory, as numbers of one pixel in channels last

    @property
    def positions(self) -> tuple[int, ...]:
        """The dimensions of the tensor that are positions."""
        return self.order[1:] if self.scalar else self.order[2:]

    @property
    def ragged(self) -> bool:
        """Whether whole activations have as many positions as a text has tokens."""
        return self.pool == "whole" and bool(self.follows)

    def kept(self, lengths: Sequence[int]) -> tuple[int, ...]:
        """The shape that is kept of an example, in data with ``lengths`` at most."""
        if self.pool != "whole":
            return self.shape[:1]
        return tuple(
            lengths[self.follows[place][0]] + self.follows[place][1]
            if place in self.follows
            else size
            for place, size in enumerate(self.shape)
        )


@dataclass(frozen=True)
class Plan:
    """Names of the ``layers`` to hook, the tensors to take of them, and why others are left out."""

    layers: tuple[str, ...]
    taken: tuple[Planned, ...]
    skipped: Mapping[str, str]


@dataclass
class _Seen:
    """One tensor in all looks: shapes by look and number of examples."""

    layer: nn.Module
    shapes: list[dict[int, tuple[int, ...]]]
    nearest: int = -1  # the dimension whose numbers lie side by side

    def complete(self, looks: int) -> bool:
        """Whether it was there in every look."""
        return len(self.shapes) == looks and all(len(each) == len(_TWICE) for each in self.shapes)


def base(name: str) -> str:
    """The layer's own name in that of a tensor: without its call and its place in the output."""
    return name.partition("#")[0].partition("[")[0]


def planned(
    model: LoadedModel,
    module: nn.Module,
    looks: Sequence[Batch],
    wanted: Sequence[str] | None,
    pool: Pool,
) -> Plan:
    """What to take of ``module`` for ``wanted`` layers, by default of all that have no parts, or
    weights beside those of their parts.

    ``looks`` are batches of one example, of different lengths where examples have any. Raises
    ``UnknownName`` with the nearest names, ``NotValid`` with the reason when a layer that is asked
    for cannot be captured or none can be.
    """
    known = {name: part for name, part in module.named_modules() if name}
    if wanted is None:
        layers = {name: part for name, part in known.items() if has_own(part)}
    else:
        for name in wanted:
            if base(name) not in known:
                raise UnknownName.of("layer", name, known, "See `fluoroscope list layers`.")
        layers = {base(name): known[base(name)] for name in wanted}
    found, skipped = survey(model, module, looks, layers, pool)
    taken = [each for each in found if _asked(each.name, wanted)]
    if wanted is not None:
        for name in wanted:
            if not any(_asked(each.name, [name]) for each in taken):
                if name in skipped:
                    raise NotValid(
                        f"The layer '{name}' cannot be captured: {skipped[name]}.",
                        "Choose the layer around it.",
                    )
                names = [each.name for each in found]
                raise UnknownName.of("output of a layer", name, names)
        skipped = {}
    if not taken:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise NotValid(
            f"No layer of '{model.ref.name}' can be captured ({reasons}).", "Name one that can."
        )
    hooked = dict.fromkeys(base(each.name) for each in taken)
    return Plan(tuple(hooked), tuple(taken), skipped)


def survey(
    model: LoadedModel,
    module: nn.Module,
    looks: Sequence[Batch],
    layers: Mapping[str, nn.Module],
    pool: Pool,
) -> tuple[list[Planned], dict[str, str]]:
    """Every tensor that ``layers`` answer with, in the order in which they compute, and by name why
    others cannot be captured.
    """
    seen = _look(model, module, layers, looks)
    lengths = [lengths_of(each) for each in looks]
    found: list[Planned] = []
    called = {base(name) for name in seen}
    reason = "it is not called in a forward, or answers with no floating numbers"
    skipped = {name: reason for name in layers if name not in called}
    uneven = {base(name) for name, each in seen.items() if not each.complete(len(looks))}
    before: dict[tuple[int, ...], bool] = {}  # of outputs of a shape, whether units came first
    for name, each in seen.items():
        try:
            if base(name) in uneven:
                raise NotValid("it is called more often for some examples than for others")
            found.append(_planned(name, each, lengths, pool, before))
        except NotValid as error:
            skipped[name] = error.message
    return found, skipped


def has_own(part: nn.Module) -> bool:
    """Whether a layer computes something that none of its parts does."""
    return not any(True for _ in part.children()) or any(True for _ in part.parameters(False))


def _asked(name: str, wanted: Sequence[str] | None) -> bool:
    """By its layer's name every call is asked for, but of each only the first tensor."""
    plain = name.partition("[")[0]
    if wanted is None:
        return plain == name
    return name in wanted or (plain == name and base(name) in wanted)


def _look(
    model: LoadedModel,
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    looks: Iterable[Batch],
) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for number, batch in enumerate(looks):
        for times in _TWICE:

            def take(
                name: str,
                layer: nn.Module,
                output: Tensor,
                lengths: Tensor | None,
                number: int = number,
                times: int = times,
            ) -> None:
                each = seen.setdefault(name, _Seen(layer, []))
                each.shapes += [{} for _ in range(number + 1 - len(each.shapes))]
                each.shapes[number][times] = tuple(output.shape)
                steps = [
                    (step, -size) for step, size in zip(output.stride(), output.shape, strict=True)
                ]
                each.nearest = steps.index(min(steps))

            features, *context = (
                tensor.repeat(times, *[1] * (tensor.ndim - 1))
                for tensor in (batch.features, *batch.context)
            )
            with torch.no_grad(), watched(module, layers, take):
                model.adapter.logits(module, features, *context)
    return seen


def _planned(
    name: str,
    seen: _Seen,
    lengths: Sequence[tuple[int, ...]],
    pool: Pool,
    before: dict[tuple[int, ...], bool],
) -> Planned:
    example = _example_dimension(seen.shapes)
    of_one = [tuple(_without(each[2], example)) for each in seen.shapes]
    if len({len(shape) for shape in of_one}) > 1:
        raise NotValid("its output has more dimensions for some examples than for others")
    differing = [i for i in range(len(of_one[0])) if len({shape[i] for shape in of_one}) > 1]
    others = [i for i in range(len(of_one[0])) if i not in differing]
    unit = _unit(seen.layer, of_one[0], others, bool(differing), before)
    dims = [i for i in range(len(of_one[0])) if i != unit]
    order = [*([] if unit is None else [unit]), *dims]
    shape = [*([1] if unit is None else []), *(of_one[0][i] for i in order)]
    follows = {}
    for i in differing:
        place = order.index(i) + (unit is None)
        follows[place] = _followed([each[i] for each in of_one], lengths)
        shape[place] = 0
    if pool in ("first", "last") and len(dims) > 1:
        raise NotValid("it has a grid of positions, of which none is the first or last")
    order = [example, *(i + (i >= example) for i in order)]
    return Planned(
        name=name,
        kind=type(seen.layer).__name__,
        order=tuple(order),
        shape=tuple(shape),
        pool=pool if dims else "whole",
        follows=follows,
        size=max(torch.Size(each).numel() for each in of_one),
        scalar=unit is None,
        units_last=unit is not None and bool(dims) and order[1] == seen.nearest,
    )


def _example_dimension(shapes: Sequence[Mapping[int, tuple[int, ...]]]) -> int:
    found = set()
    for each in shapes:
        two, three = each[2], each[3]
        if len(two) != len(three):
            raise NotValid("its output depends on how many examples there are together")
        grown = [i for i, (a, b) in enumerate(zip(two, three, strict=True)) if a != b]
        if not grown:
            raise NotValid("its output is the same for all examples")
        if len(grown) > 1 or (two[grown[0]], three[grown[0]]) != _TWICE:
            raise NotValid("its output mixes examples, or has several rows for each")
        found.add(grown[0])
    if len(found) > 1:
        raise NotValid("its output has the examples in different dimensions")
    return found.pop()


def _unit(
    layer: nn.Module,
    shape: tuple[int, ...],
    fixed: Sequence[int],
    ragged: bool,
    before: dict[tuple[int, ...], bool],
) -> int | None:
    """Which dimension of an example is that of units; None if there is none."""
    if not fixed:
        return None
    if ragged:
        return fixed[-1]
    first = unit_first(layer)
    if first is None:
        first = before.get(shape, len(shape) > 2)
    if len(shape) > 1:
        before[shape] = first
    return fixed[0] if first else fixed[-1]


def _followed(sizes: Sequence[int], lengths: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Which length of a batch these sizes follow, and by how much they are longer."""
    for number in range(len(lengths[0])):
        apart = {size - each[number] for size, each in zip(sizes, lengths, strict=True)}
        if len(apart) == 1:
            return number, apart.pop()
    return 0, max(0, *(size - each[0] for size, each in zip(sizes, lengths, strict=True)))


def lengths_of(batch: Batch) -> tuple[int, ...]:
    """The lengths of a batch that positions may follow: of its features and context."""
    return tuple(tensor.shape[1] for tensor in (batch.features, *batch.context) if tensor.ndim > 1)


def _without(shape: Sequence[int], place: int) -> list[int]:
    return [size for i, size in enumerate(shape) if i != place]
