"""Running a network on given embeddings in place of those it looks up itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

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
        if part is embedding
        or (isinstance(part, nn.Embedding) and weight is not None and part.weight is weight)
    ]


@contextmanager
def substituted(embeddings: Sequence[nn.Module], parts: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the calls of ``embeddings`` answer with ``parts``, one after the other.

    Raises ``BadModel`` when they are called more or less often than there are parts, or for inputs
    of another shape.
    """
    waiting = list(parts)

    def answer(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if not waiting or waiting[0].shape != output.shape:
            raise BadModel(
                "The network looks up its token embeddings in a way that cannot be followed.",
                "Expected one look-up of the whole text for each part of the input.",
            )
        return waiting.pop(0)

    with ExitStack() as stack:
        for module in dict.fromkeys(embeddings):
            stack.callback(module.register_forward_hook(answer).remove)
        yield
    if waiting:
        raise BadModel(
            "The network does not use its token embedding.",
            "Expected one look-up of the whole text for each part of the input.",
        )
