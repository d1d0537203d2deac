"""What the queries and keys of a layer are: tokens, tokens to be written, patches of a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.models.adapter import Batch
from core.models.inspect import grid_over
from core.results.attention import AttentionAxis, Role
from core.tasks import Tokens

_SPECIAL = re.compile(r"<.*>|\[.*\]")


def axes(
    batch: Batch, role: Role, queries: int, keys: int, writes: bool
) -> tuple[AttentionAxis, AttentionAxis]:
    """Queries and keys of a layer in a batch of one example. ``writes`` says whether the network
    has an encoder and a decoder.

    A query of cross attention is called after the token that is written from there, so that the map
    reads as an alignment. What cannot be told is numbered.
    """
    axis = batch.axes[0]
    if not isinstance(axis, Tokens):
        return _patches(batch, queries), _patches(batch, keys)
    read = [place for place, part in enumerate(axis.parts) if part == 0]
    heard = [place for place, part in enumerate(axis.parts) if part == 1]
    if role == "cross":
        return _written(axis, heard, batch.outputs[0], queries), _tokens(axis, read, keys)
    places = (heard if role == "decoder" else read) if writes else read + heard
    return _tokens(axis, places, queries), _tokens(axis, places, keys)


def _tokens(axis: Tokens, places: Sequence[int], size: int) -> AttentionAxis:
    if len(places) != size:
        return _numbered(size)
    return AttentionAxis(
        tuple(axis.pieces[place] for place in places),
        tuple(axis.special[place] for place in places),
    )


def _written(
    axis: Tokens, heard: Sequence[int], outputs: Sequence[str], size: int
) -> AttentionAxis:
    """What is heard at one place was written at the one before."""
    if len(heard) != size:
        return _numbered(size)
    last = re.sub(r" \(\d+\)$", "", outputs[size - 1])
    return AttentionAxis(
        (*(axis.pieces[place] for place in heard[1:]), last),
        (*(axis.special[place] for place in heard[1:]), bool(_SPECIAL.fullmatch(last))),
    )


def _patches(batch: Batch, size: int) -> AttentionAxis:
    grid, prefix = grid_over((size, 1), tuple(batch.features.shape[1:]))
    if grid is None:
        return _numbered(size)
    first = ("class",) if prefix == 1 else tuple(f"extra {i + 1}" for i in range(prefix))
    rows, columns = grid
    patches = [f"row {i + 1}, column {j + 1}" for i in range(rows) for j in range(columns)]
    special = (True,) * prefix + (False,) * len(patches)
    return AttentionAxis((*first, *patches), special, grid, prefix)


def _numbered(size: int) -> AttentionAxis:
    return AttentionAxis(tuple(str(place + 1) for place in range(size)), (False,) * size)
