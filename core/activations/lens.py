"""The answer on the way: what a Transformer would say if its later blocks were left out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.attention.compute import first_output
from core.attention.padding import unpacked
from core.errors import NotValid
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.models.sequence import SequenceAdapter
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.lens import LogitLens
from core.tasks import Example

_TOP = Parameter("top", "int", 5, "How many answers are named in each place.", 1, 50)


def logit_lens(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[LogitLens, ...]:
    """The verb ``logit_lens``: for each block, its output handed on as if it were that of the last
    one, through the final normalisation and the head (nostalgebraist 2020). Early blocks use
    another basis, so a lens may read nonsense there although the answer is fixed (Belrose et al.
    2023, arXiv 2303.08112).

    Raises ``NotValid`` for a network that is no stack of equal blocks.
    """
    top = int(checked((_TOP,), parameters, "logit_lens")["top"])
    found = []
    for example in inputs:
        started = time.perf_counter()
        batch = model.adapter.encode([first_output(example)], model)
        with model.exclusive(seed) as module, torch.no_grad(), unpacked(module):
            names = blocks(model, module, batch)
            meter.expect(len(names), "Answer on the way")
            states = _states(model, module, batch, names)
            chances = []
            for name in names:
                meter.tick()
                with _answering(module.get_submodule(names[-1]), states[name]):
                    chances.append(_chances(model, module, batch))
        found.append(
            _result(
                model,
                batch,
                names,
                torch.stack(chances),
                top,
                Provenance(
                    model.ref.name,
                    model.ref.fingerprint,
                    (example.sha256,),
                    "logit_lens",
                    {"top": top},
                    seed,
                    str(model.device),
                    time.perf_counter() - started,
                ),
            )
        )
    return tuple(found)


def blocks(model: LoadedModel, module: nn.Module, batch: Batch) -> tuple[str, ...]:
    """Names of the equal blocks, in order, that end last: those of a decoder where there is one.

    Raises ``NotValid`` when there are none.
    """
    groups: dict[str, list[str]] = {}
    for name, part in module.named_modules():
        if isinstance(part, (nn.ModuleList, nn.Sequential)) and len(part) > 1:
            kinds = {type(each) for each in part}
            if len(kinds) == 1 and any(True for _ in part[0].children()):
                groups[name] = [
                    f"{name}.{place}" if name else str(place) for place in range(len(part))
                ]
    every = [each for names in groups.values() for each in names]
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []
    for name in every:

        def heard(part: nn.Module, args: Any, output: Any, name: str = name) -> None:
            shapes.pop(name, None)  # the last call counts
            shapes[name] = tuple(_first(output).shape)

        hooks.append(module.get_submodule(name).register_forward_hook(heard))
    try:
        _chances(model, module, batch)
    finally:
        for hook in hooks:
            hook.remove()
    for name in reversed(shapes):
        group = next(names for names in groups.values() if name in names)
        if all(each in shapes for each in group) and len({shapes[each] for each in group}) == 1:
            return tuple(group)
    raise NotValid(
        f"'{model.ref.name}' is no stack of equal blocks, so none of them can speak for the last "
        "one.",
        "A lens needs a Transformer; the probes show where classes part in any network.",
    )


def _states(
    model: LoadedModel, module: nn.Module, batch: Batch, names: Sequence[str]
) -> dict[str, Tensor]:
    """What each block answers."""
    states: dict[str, Tensor] = {}
    hooks = []
    for name in names:

        def heard(part: nn.Module, args: Any, output: Any, name: str = name) -> None:
            states[name] = _first(output).clone()

        hooks.append(module.get_submodule(name).register_forward_hook(heard))
    try:
        _chances(model, module, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return states


@contextmanager
def _answering(block: nn.Module, state: Tensor) -> Iterator[None]:
    """Inside, ``block`` answers ``state``."""

    def replaced(part: nn.Module, args: Any, output: Any) -> Any:
        return (state, *output[1:]) if isinstance(output, tuple) else state

    hook = block.register_forward_hook(replaced)
    try:
        yield
    finally:
        hook.remove()


def _chances(model: LoadedModel, module: nn.Module, batch: Batch) -> Tensor:
    """Log-probabilities ``[position, answer]``: of tokens, or of classes in the one position."""
    adapter = model.adapter
    if isinstance(adapter, SequenceAdapter):
        source, said, *_ = batch.context
        return adapter.vocabulary(module, source, said)[0].float().log_softmax(dim=-1)
    return adapter.logits(module, batch.features, *batch.context).float().log_softmax(dim=-1)


def _first(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def _result(
    model: LoadedModel,
    batch: Batch,
    names: Sequence[str],
    chances: Tensor,
    top: int,
    provenance: Provenance,
) -> LogitLens:
    final = chances[-1]
    adapter = model.adapter
    if isinstance(adapter, SequenceAdapter):
        answers = batch.context[1][0]
        positions = batch.outputs[0][: len(answers)]

        def spelt(place: int) -> str:
            return adapter.tokenizer.decode([place]).strip() or "␣"
    else:
        answers = final.argmax(dim=-1)
        positions = ("answer",)

        def spelt(place: int) -> str:
            return str(batch.outputs[0][place])

    count = min(top, chances.shape[-1])
    best = chances.topk(count, dim=-1)
    own = chances.gather(-1, answers[None, :, None].expand(len(names), -1, 1))
    return LogitLens(
        batch.names[0],
        tuple(names),
        positions,
        tuple(spelt(int(each)) for each in answers),
        tuple(
            tuple(tuple(spelt(int(each)) for each in row) for row in layer)
            for layer in best.indices
        ),
        best.values.exp().cpu().numpy(),
        (chances > own).sum(dim=-1).cpu().numpy(),
        own[..., 0].exp().cpu().numpy(),
        (final.exp() * (final - chances)).nan_to_num(0).sum(dim=-1).cpu().numpy(),
        provenance,
    )
