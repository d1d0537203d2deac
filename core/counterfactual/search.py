"""The search: one column at a time, then the nearest rows of another answer with ever fewer columns
changed, then back to the border.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.counterfactual.room import Room

_GRID = 64  # values of a column that are tried
_STARTS = 24
_DRAWN = 2_000
_HALVINGS = 24


def candidates(room: Room, varied: Tensor, seed: int) -> Tensor:
    """Rows of another answer, ``[row, input]``, that differ from the one in hand in few of the
    columns ``varied`` bool ``[column]`` and by little.
    """
    swept = _swept(room, varied)
    starts = torch.cat([_pushed(room, *swept), _starts(room, varied, seed)])
    several = _slid(room, _fewer(room, starts)) if len(starts) else starts
    return torch.cat([_singles(room, *swept), several])


def _swept(room: Room, varied: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The row in hand with one column at a time at values of the data: rows ``[row, input]``, the
    column of each and the margin of the answer.
    """
    rows, columns = [room.others[:0]], []
    allowed = room.sensible(room.others) & varied
    for column in _places(varied).tolist():
        mine = room.owner == column
        values = room.others[allowed[:, column]][:, mine].unique(dim=0)
        few = torch.linspace(0, max(0, len(values) - 1), min(len(values), _GRID)).round().long()
        values = values[few.to(values.device)]
        moved = room.here.repeat(len(values), 1)
        moved[:, mine] = values
        rows.append(moved)
        columns += [column] * len(values)
    tried = torch.cat(rows)
    at = torch.tensor(columns, dtype=torch.int64, device=tried.device)
    return tried, at, room.margin(tried)


def _singles(room: Room, tried: Tensor, at: Tensor, margin: Tensor) -> Tensor:
    """For each column alone, the nearest value on either side that changes the answer."""
    turned = margin > 0
    far, near = [], []
    first = room.first[at]
    step = tried.gather(1, first[:, None])[:, 0] - room.here[first]
    for column in at[turned].unique().tolist():
        if not room.slides[column]:
            far.append(tried[turned & (at == column)][:1])
            near.append(room.here[None])
            continue
        for side in (-1, 1):
            line = _places((at == column) & (step * side > 0))
            line = line[(step[line] * side).argsort()]
            hits = _places(turned[line])
            if len(hits):
                place = int(hits[0])
                far.append(tried[line[place]][None])
                near.append(tried[line[place - 1]][None] if place else room.here[None])
    return _halved(room, torch.cat(near), torch.cat(far)) if far else room.others[:0]


def _pushed(room: Room, tried: Tensor, at: Tensor, margin: Tensor) -> Tensor:
    """Every column at the value that alone speaks most for another answer, if together they turn
    it; one row or none.
    """
    moved, none = room.here.clone(), room.margin(room.here[None])[0]
    for column in at.unique().tolist():
        mine = _places(at == column)
        best = mine[margin[mine].argmax()]
        if margin[best] > none:
            moved = torch.where(room.owner == column, tried[best], moved)
    return moved[None] if bool(room.margin(moved[None]) > 0) else room.others[:0]


def _starts(room: Room, varied: Tensor, seed: int) -> Tensor:
    """The nearest rows of another answer; where there are few, of columns drawn from the data."""
    found = [room.others]
    if len(room.others):
        random = np.random.default_rng(seed)
        drawn = random.integers(0, len(room.others), (_DRAWN, len(room.first)))
        rows = torch.from_numpy(drawn).to(room.here.device)[:, room.owner]
        inputs = torch.arange(len(room.owner), device=room.here.device)
        found.append(room.others[rows, inputs])
    for rows in found:
        moved = room.mixed(rows, room.sensible(rows) & varied)
        moved = moved[room.margin(moved) > 0]
        if len(moved):
            order = room.costs(moved).sum(dim=1).argsort()
            return moved[order[:_STARTS]]
    return room.others[:0]


def _fewer(room: Room, rows: Tensor) -> Tensor:
    """Columns taken back one by one, each time the one that is missed least, as long as the answer
    stays another.
    """
    going = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    rows = rows.clone()
    while bool(going.any()):
        changed = (room.costs(rows) > 0) & going[:, None]
        which, column = changed.nonzero(as_tuple=True)
        if not len(which):
            break
        less = rows[which]
        less = torch.where(room.owner == column[:, None], room.here, less)
        margin = room.margin(less)
        best = torch.full((len(rows),), -torch.inf, device=rows.device)
        best = best.scatter_reduce(0, which, margin, "amax")
        going = going & (best > 0)
        chosen = (margin == best[which]) & going[which]
        rows[which[chosen]] = less[chosen]
    return rows


def _slid(room: Room, rows: Tensor) -> Tensor:
    """Numbers moved back to the border: all together, then each alone, the farthest first."""
    rows = _halved(room, torch.where(room.slid(rows)[:, room.owner], room.here, rows), rows)
    todo = room.slid(rows)
    while bool(todo.any()):
        column = torch.where(todo, room.costs(rows), -1).argmax(dim=1)
        mine = (room.owner == column[:, None]) & todo.gather(1, column[:, None])
        rows = _halved(room, torch.where(mine, room.here, rows), rows)
        todo = todo.scatter(1, column[:, None], False)
    return rows


def _halved(room: Room, near: Tensor, far: Tensor) -> Tensor:
    """The first rows of another answer on the way from ``near`` to ``far``, which are of another;
    ``near`` itself where it is too.
    """
    far = torch.where((room.margin(near) > 0)[:, None], near, far)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        turned = (room.margin(middle) > 0)[:, None]
        near, far = torch.where(turned, near, middle), torch.where(turned, middle, far)
    return far


def _places(mask: Tensor) -> Tensor:
    return mask.nonzero(as_tuple=True)[0]
