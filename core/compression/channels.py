"""Whole channels removed, and all that depends on them: the layers get smaller, and the work.

Which layers hang together is found by tracing (DepGraph: Fang et al. 2023, arXiv 2301.12900, the
library torch-pruning). A channel is removed only where that is the same as ignoring it: through
activations, pooling, batch normalisation, flattening and sums, not through a norm over channels.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.compression.given import Given
from core.compression.thin import THINNED, shapes, thinned
from core.errors import NotValid
from core.parameters import Value

_PRODUCERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_MIXED = ("Unbind", "OutputOp", "Embed")


@dataclass(frozen=True)
class _Group:
    """Channels that go together: by how much each counts, float32 ``[channel]``, and which inputs
    of which layers read them.
    """

    root: str
    weight: Tensor
    readers: Sequence[tuple[str, Sequence[int], Sequence[int]]]


def remove_channels(
    module: nn.Module, settings: Mapping[str, Value], given: Given
) -> list[dict[str, Any]]:
    """Remove the share ``amount`` of the channels whose filters have the smallest norm (Li et al.
    2017, arXiv 1608.08710), at least one stays in each layer; what became smaller, for a card.

    Raises ``NotValid`` where no channel can go.
    """
    amount = float(settings["amount"])
    if not amount:
        return []
    groups = _groups(module, given, 1 if settings["norm"] == "l1" else 2)
    if not groups:
        raise NotValid(
            "No channel of this model can be removed: its layers are recurrent, normalised across "
            "channels, or make the answer.",
            "Prune single weights, or choose another method.",
        )
    going = _going(groups, amount, bool(settings["scope"] == "global"))
    if not any(going):
        most = max(len(each.weight) for each in groups)
        raise NotValid(
            f"The model is too small to prune by {amount:g}: of {most} channels that is less than "
            "one, or only one is left.",
            "Remove more, or prune single weights.",
        )
    masked = copy.deepcopy(module)
    _mask(masked, groups, going)
    before = shapes(module)
    _remove(module, given, groups, going)
    if not given.same(masked, module):
        raise NotValid(
            "The structure of this model does not allow removing channels: its forward counts on "
            "their number.",
            "Prune single weights instead.",
        )
    return thinned(before, module)


def _traced(module: nn.Module, given: Given) -> Any:
    import torch_pruning

    for parameter in module.parameters():
        parameter.requires_grad_(True)
    batch = given.typical
    with warnings.catch_warnings():  # it tells of parameters that stand alone: they are left alone
        warnings.simplefilter("ignore")
        return torch_pruning.DependencyGraph().build_dependency(
            module,
            (batch.features, *batch.context),
            forward_fn=lambda traced, given_: given.adapter.logits(traced, *given_),
            verbose=False,
        )


def _groups(module: nn.Module, given: Given, power: int) -> list[_Group]:
    try:
        graph = _traced(module, given)
        found = list(graph.get_all_groups(root_module_types=list(_PRODUCERS)))
    except Exception:
        return []
    names = {part: name for name, part in module.named_modules()}
    return [each for group in found if (each := _group(group, names, power)) is not None]


def _group(group: Any, names: Mapping[nn.Module, str], power: int) -> _Group | None:
    """None where these channels cannot go by themselves."""
    count = len(group[0].idxs)
    norms, readers = torch.zeros(count), []
    for item in group.items:
        dependency, places = item.dep, item.idxs
        part = dependency.target.module
        if part not in names:  # an operation between layers, or a parameter that stands alone
            if isinstance(part, nn.Parameter) or any(
                word in type(part).__name__ for word in _MIXED
            ):
                return None
            continue
        if type(part) not in THINNED:
            return None
        if getattr(part, "groups", 1) not in (1, getattr(part, "out_channels", 1)):
            return None
        if "in_channels" in dependency.handler.__name__ and type(part) in _PRODUCERS:
            if getattr(part, "groups", 1) == 1:
                readers.append((names[part], list(places), list(item.root_idxs)))
        elif type(part) in _PRODUCERS:
            sizes = part.weight.detach().flatten(1).norm(p=power, dim=1).cpu()
            norms.index_add_(0, torch.tensor(item.root_idxs), sizes[list(places)])
    return _Group(names[group[0].dep.target.module], norms, readers) if readers else None


def _going(groups: Sequence[_Group], amount: float, together: bool) -> list[list[int]]:
    """The channels of each group that go, the least first; one of each stays."""
    if not together:
        counts = [min(math.floor(amount * len(g.weight) + 1e-9), len(g.weight) - 1) for g in groups]
        return [
            torch.argsort(g.weight, stable=True)[:n].tolist()
            for g, n in zip(groups, counts, strict=True)
        ]
    shares = [each.weight / each.weight.mean().clamp(min=1e-12) for each in groups]
    edge = torch.cat(shares).sort().values
    count = math.floor(amount * len(edge) + 1e-9)
    limit = float(edge[count]) if count < len(edge) else math.inf
    found = []
    for each in shares:
        order = torch.argsort(each, stable=True).tolist()
        going = [place for place in order if float(each[place]) < limit]
        found.append(going[: len(order) - 1])
    return found


def _mask(module: nn.Module, groups: Sequence[_Group], going: Sequence[Sequence[int]]) -> None:
    """The twin that ignores these channels: who reads them gives them no weight."""
    with torch.no_grad():
        for group, places in zip(groups, going, strict=True):
            gone = set(places)
            for name, columns, roots in group.readers:
                ignored = [c for c, r in zip(columns, roots, strict=True) if r in gone]
                module.get_parameter(f"{name}.weight")[:, ignored] = 0


def _remove(
    module: nn.Module, given: Given, groups: Sequence[_Group], going: Sequence[Sequence[int]]
) -> None:
    graph = _traced(module, given)
    for group, places in zip(groups, going, strict=True):
        if places:
            root = module.get_submodule(group.root)
            remove = graph.get_pruner_of_module(root).prune_out_channels
            graph.get_pruning_group(root, remove, list(places)).prune()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
