"""What importance is shared among: columns or groups of them, regions of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import BadInput, NotValid
from core.importance.sample import Sample, levels, table
from core.importance.ways import CORRELATED, check_groups
from core.models.loaded import LoadedModel
from core.tasks import PixelGrid

_ALIKE = 0.7  # |Spearman| from which columns are put together


@dataclass(frozen=True)
class Parts:
    """Features of one batch: ``names``, the ``members`` of each, ``mask`` int64 that broadcasts
    over the batch's features and says which feature each input belongs to; the values of columns
    as in ``Importance``. ``ids`` int64 is the feature of each cell of an attribution's axis.
    """

    names: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    categories: tuple[tuple[str, ...], ...]
    mask: Tensor
    ids: npt.NDArray[np.int64]
    levels: npt.NDArray[np.float64]
    grid: tuple[int, int] = (0, 0)


def parts(model: LoadedModel, sample: Sample, parameters: Mapping[str, Any], regions: int) -> Parts:
    """The columns of a table, in the ``groups`` of the parameters (names with their columns, or
    ``"correlated"``), or a grid of about ``regions`` over pictures.

    Raises ``BadInput`` for pictures of several sizes and groups that overlap, ``UnknownName`` for a
    column that there is not.
    """
    if model.adapter.axis == "columns":
        return _columns(model, sample, parameters.get("groups"))
    return _regions(model, sample, regions)


def correlated(values: npt.NDArray[np.float64], alike: float = _ALIKE) -> list[list[int]]:
    """Columns that move together, from ``values [example, column]``: hierarchical clustering with
    average linkage of 1 − |Spearman|, cut where it is 0.3. In the order of their first columns.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    count = values.shape[1]
    if count < 2 or len(values) < 3:
        return [[place] for place in range(count)]
    filled = np.where(np.isfinite(values), values, np.nanmedian(values, axis=0))
    ranks = rankdata(np.nan_to_num(filled), axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    ranks /= np.where(length > 0, length, 1.0)
    distance = 1 - np.abs(ranks.T @ ranks).clip(0, 1)
    np.fill_diagonal(distance, 0)
    labels = fcluster(linkage(squareform(distance, checks=False), "average"), 1 - alike, "distance")
    found: dict[int, list[int]] = {}
    for place, label in enumerate(labels.tolist()):
        found.setdefault(label, []).append(place)
    return list(found.values())


def _columns(model: LoadedModel, sample: Sample, groups: Any) -> Parts:
    batch, columns = table(sample, model)
    names = tuple(each.name for each in columns)
    values = levels(model, sample.examples, columns)
    if groups == CORRELATED:
        together = [[names[place] for place in each] for each in correlated(values)]
        named = {_name(each): tuple(each) for each in together if len(each) > 1}
    else:
        asked = {str(group): tuple(map(str, each)) for group, each in dict(groups or {}).items()}
        named = check_groups(asked, names)
    grouped = {column for each in named.values() for column in each}
    alone = {name: (name,) for name in names if name not in grouped}
    if clash := named.keys() & alone.keys():
        raise BadInput(f"'{min(clash)}' is the name of a column too.", "Name the group otherwise.")
    members = named | alone
    place = {column: at for at, each in enumerate(members.values()) for column in each}
    ids = np.array([place[name] for name in names], np.int64)
    kept = np.full((len(sample), len(members)), np.nan)
    categories: list[tuple[str, ...]] = []
    for at, each in enumerate(members.values()):
        single = names.index(each[0]) if len(each) == 1 else -1
        if single >= 0:
            kept[:, at] = values[:, single]
        categories.append(columns[single].categories if single >= 0 else ())
    mask = torch.from_numpy(ids)[None, :, None].to(batch.features.device)
    return Parts(tuple(members), tuple(members.values()), tuple(categories), mask, ids, kept)


def _name(columns: list[str]) -> str:
    more = len(columns) - 1
    return f"{columns[0]} and {more} more"


def _regions(model: LoadedModel, sample: Sample, wanted: int) -> Parts:
    shapes = {each.axes[0].shape for _, each in sample.batches}
    axis = sample.batches[0][1].axes[0]
    if len(sample.batches) != 1 or len(shapes) != 1 or not isinstance(axis, PixelGrid):
        raise BadInput(
            f"The pictures of '{sample.data.name}' differ in size, so that no region is the same "
            "in all.",
            "Bring them to one size.",
        )
    batch = sample.batches[0][1]
    settings = {"segments": "grid", "n_segments": wanted}
    mask = model.adapter.segments(batch[0], settings)
    ids = mask[0, 0].cpu().numpy()
    rows = len(np.unique(ids[:, 0]))
    columns = len(np.unique(ids[0]))
    names = tuple(
        f"row {row + 1}, column {column + 1}" for row in range(rows) for column in range(columns)
    )
    if int(ids.max()) + 1 != len(names) or math.prod((rows, columns)) != len(names):
        raise NotValid(f"'{model.ref.name}' does not divide pictures into a grid.", "")
    members = tuple((name,) for name in names)
    nothing = np.full((len(sample), len(names)), np.nan)
    return Parts(names, members, ((),) * len(names), mask, ids, nothing, (rows, columns))
