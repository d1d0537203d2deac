"""How far a map can be believed: the neighbours it keeps, loses and makes up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from core.progress import Meter
from core.results.projection import Trust

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]
_CELLS = 2**23  # distances held at once: 32 MiB, four times over
_WIDE = 3  # neighbours in the map are false when not among this many times k in the space


def judge(
    values: Floats,
    points: Floats,
    k: int = 15,
    *,
    most: int = 20_000,
    seed: int = 0,
    meter: Meter | None = None,
) -> Trust:
    """Compare the neighbours in the space, ``values [example, unit]``, with those in the map,
    ``points [example, dim]``.

    Trustworthiness ``1 - 2 / (n k (2n - 3k - 1)) sum max(0, rank - k)`` over the ``k`` neighbours
    of each example in the map, ranked in the space, and continuity the other way round (Venna and
    Kaski 2001, doi 10.1007/3-540-44668-0_68; the same as scikit-learn's where no two distances are
    equal). ``k`` is lowered to less than half the examples. Every judged example is compared with
    all others, a block at a time; above ``most`` a random sample is judged.
    """
    import torch

    count = len(values)
    k = max(1, min(k, (count - 1) // 2))
    chosen = np.arange(count)
    if count > most:
        chosen = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    space, shown = _Distances.of(values), _Distances.of(points)
    block = max(1, _CELLS // count)
    meter = meter or Meter()
    meter.expect(-(-len(chosen) // block), "trust")
    false = torch.full((count,), torch.nan)
    made_up = lost = same = 0.0
    for start in range(0, len(chosen), block):
        meter.tick()
        rows = torch.from_numpy(chosen[start : start + block])
        here, there = space.rows(rows), shown.rows(rows)
        near_here = here.topk(k, largest=False).indices
        near_there = there.topk(k, largest=False).indices
        ranks = _ranks(here, near_there)
        made_up += float((ranks - k).clamp(min=0).sum(dtype=torch.float64))
        lost += float((_ranks(there, near_here) - k).clamp(min=0).sum(dtype=torch.float64))
        same += float((near_here[:, :, None] == near_there[:, None]).sum())
        wide = min(_WIDE * k, count - 2)
        false[rows] = (ranks > wide).to(torch.float32).mean(1)
    judged = len(chosen)
    scale = 2 / (judged * k * (2 * count - 3 * k - 1))
    return Trust(
        k, judged, 1 - scale * made_up, 1 - scale * lost, same / (judged * k), false.numpy()
    )


def agreement(one: Floats, other: Floats, k: int = 15, meter: Meter | None = None) -> float:
    """The share of each point's ``k`` neighbours that two maps of the same examples have in common:
    1 for the same map turned, mirrored or scaled.
    """
    if one.shape[0] != other.shape[0]:
        raise ValueError(f"{len(one)} points and {len(other)}")
    return judge(one, other, k, most=5_000, meter=meter).kept


@dataclass(frozen=True)
class _Distances:
    """Squared distances between the rows of a matrix, some rows at a time."""

    values: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Floats) -> _Distances:
        import torch

        centred = torch.tensor(values - values.mean(axis=0, dtype=np.float64).astype(np.float32))
        return cls(centred, (centred * centred).sum(1))

    def rows(self, rows: Tensor) -> Tensor:
        """``[row, example]``, infinite from an example to itself."""
        import torch

        if self.values.shape[1] <= 3:  # exact, and faster than a product
            found = torch.zeros(len(rows), len(self.values))
            for axis in self.values.T:
                found += (axis[rows][:, None] - axis[None]) ** 2
        else:
            found = torch.addmm(self.squares[None], self.values[rows], self.values.T, alpha=-2)
        found[torch.arange(len(rows)), rows] = torch.inf
        return found


def _ranks(distances: Tensor, others: Tensor) -> Tensor:
    """The places of ``others [row, k]`` in the order of ``distances [row, example]``, from 1."""
    import torch

    limits = distances.gather(1, others)
    columns = [(distances < limits[:, [place]]).sum(1) for place in range(others.shape[1])]
    return torch.stack(columns, 1) + 1
