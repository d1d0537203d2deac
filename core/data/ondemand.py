"""Columns beside examples that are read when somebody asks for one, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Column = Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]


class OnDemand(Mapping[str, npt.NDArray[Any]]):
    """Arrays ``[example]`` by name; each is made of the ``rows`` of its source when it is read."""

    def __init__(self, columns: Mapping[str, Column], rows: npt.NDArray[np.int64]) -> None:
        self._columns, self._rows = dict(columns), rows

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column, made now."""
        return self._columns[name](self._rows)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._columns)

    def __len__(self) -> int:
        """The number of columns."""
        return len(self._columns)

    def with_column(self, name: str, values: npt.NDArray[Any]) -> OnDemand:
        """The same with a column ``[example]`` that is at hand."""
        whole = np.zeros(int(self._rows.max(initial=-1)) + 1, np.int64)
        whole[self._rows] = np.arange(len(self._rows))
        return OnDemand({**self._columns, name: lambda rows: values[whole[rows]]}, self._rows)

    def taken(self, places: npt.NDArray[np.int64]) -> OnDemand:
        """The same columns of some examples."""
        return OnDemand(self._columns, self._rows[places])


def taken(
    columns: Mapping[str, npt.NDArray[Any]], places: npt.NDArray[np.int64]
) -> Mapping[str, npt.NDArray[Any]]:
    """The columns of some examples."""
    if isinstance(columns, OnDemand):
        return columns.taken(places)
    return {name: values[places] for name, values in columns.items()}


def with_column(
    columns: Mapping[str, npt.NDArray[Any]], name: str, values: npt.NDArray[Any]
) -> Mapping[str, npt.NDArray[Any]]:
    """The columns and one more."""
    if isinstance(columns, OnDemand):
        return columns.with_column(name, values)
    return {**columns, name: values}
