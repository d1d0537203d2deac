"""Running a network on given embeddings in place of those it looks up itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadModel


def embedding_of(module: nn.Module) -> nn.Module:
    """The part that turns ids of tokens into vectors.

    Raises ``BadModel`` when there is none to be found.
    """
    ask = getattr(module, "get_input_embeddings", None)
    found = ask() if callable(ask) else getattr(module, "embedding", None)
    if not isinstance(found, nn.Module):
        raise BadModel(
            f"{type(module).__name__} does not say where its token embedding is.",
            "Give it a method get_input_embeddings() or an attribute embedding.",
        )
    return found


def embeddings_of(module: nn.Module) -> list[nn.Module]:
    """The same part under every name that shares its weights, as encoder and decoder may do."""
    embedding = embedding_of(module)
    weight = getattr(embedding, "weight", None)
    return [
        part
        for part in module.modules()
        if part is embedding or (looks_up(part) and weight is not None and part.weight is weight)
    ]


def looks_up(part: nn.Module) -> bool:
    """Whether a part looks up vectors in a table, and does no more than scale them."""
    return isinstance(part, nn.Embedding) or getattr(part, "looks_up", False) is True


@contextmanager
def everywhere(module: nn.Module, part: Tensor, ids: Tensor) -> Iterator[None]:
    """Inside, every look-up of ``ids`` ``[example, token]`` answers with ``part``
    ``[example, token, width]``: as they are, transposed, padded at the end, or moved on by one as
    in the decoder of a classifier; or a few examples at a time, the last ones filled up, as in a
    network of a fixed number.

    Another text beside it, that ``module.texts_held`` tells, is looked up as it is. Raises
    ``BadModel`` for look-ups of anything else, or when there is none.
    """
    found = begun = 0
    others: Sequence[Any] = getattr(module, "texts_held", ())

    def answer(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        nonlocal found, begun
        if any(each.gave(args[0]) for each in others):
            return output
        found += 1
        usual = found == 1 and not others
        if usual and output.shape == part.shape and len(ids) != ids.shape[1]:
            return part  # the usual case, without waiting for the device
        placed = _placed(args[0], output, ids, part)
        if placed is None:
            placed = _from(begun, args[0], ids, part)
            begun += len(args[0])
        if placed is None:
            raise _cannot_be_followed()
        return placed

    with ExitStack() as stack:
        for embedding in embeddings_of(module):
            stack.callback(embedding.register_forward_hook(answer).remove)
        yield
    if not found:
        raise _not_used()


def _placed(given: Tensor, output: Tensor, ids: Tensor, part: Tensor) -> Tensor | None:
    """``output`` with ``part`` in it, wherever ``given`` has ``ids``; None where it has not."""
    count = ids.shape[1]
    if given.shape == ids.shape and torch.equal(given, ids):
        return part
    if given.shape == ids.shape and torch.equal(given[:, 1:], ids[:, :-1]):
        return torch.cat([output[:, :1], part[:, :-1]], dim=1)
    if given.shape == ids.shape[::-1] and torch.equal(given.T, ids):
        return part.transpose(0, 1)
    if len(given) == len(ids) and given.ndim == 2 and torch.equal(given[:, :count], ids):
        return torch.cat([part, output[:, count:]], dim=1)
    return None


def _from(start: int, given: Tensor, ids: Tensor, part: Tensor) -> Tensor | None:
    """``part`` of the examples from ``start``, the last one again where there are no more; None
    where ``given`` are others.
    """
    if given.ndim != 2 or given.shape[1] != ids.shape[1] or start >= len(ids):
        return None
    rows = torch.arange(start, start + len(given), device=ids.device).clamp(max=len(ids) - 1)
    return part[rows] if torch.equal(given, ids[rows]) else None


@contextmanager
def substituted(embeddings: Sequence[nn.Module], parts: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the calls of ``embeddings`` answer with ``parts``, one after the other.

    Raises ``BadModel`` when they are called more or less often than there are parts, or for inputs
    of another shape.
    """
    waiting = list(parts)

    def answer(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if not waiting or waiting[0].shape != output.shape:
            raise _cannot_be_followed()
        return waiting.pop(0)

    with ExitStack() as stack:
        for module in dict.fromkeys(embeddings):
            stack.callback(module.register_forward_hook(answer).remove)
        yield
    if waiting:
        raise _not_used()


def _cannot_be_followed() -> BadModel:
    return BadModel(
        "The network looks up its token embeddings in a way that cannot be followed.",
        "Expected one look-up of the whole text for each part of the input.",
    )


def _not_used() -> BadModel:
    return BadModel(
        "The network does not use its token embedding.",
        "Expected one look-up of the whole text for each part of the input.",
    )
