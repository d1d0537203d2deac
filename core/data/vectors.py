"""A file with vectors: one row per example, for a map of what some other program computed."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.provenance import sha256_of_file

SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet", ".csv", ".tsv")
_LARGEST = 2 * 1024**3  # bytes of a file
_MOST = 2_000_000  # rows


@dataclass(frozen=True)
class VectorTable:
    """``values`` float32 ``[example, unit]`` with an id each; ``columns`` are what else the file
    says of each example. ``fingerprint`` is the SHA-256 of the file.
    """

    name: str
    values: npt.NDArray[np.float32]
    ids: tuple[str, ...]
    fingerprint: str
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


def read_vectors(path: Path) -> VectorTable:
    """The vectors in a ``.npy``, ``.npz`` or ``.safetensors`` file (its widest matrix; other arrays
    with one entry per row are columns), or in a table: a column of lists, or all columns of
    numbers.

    Nothing is unpickled. Raises ``BadInput`` when there are none, with what was expected.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise BadInput(
            f"'{path.name}' is no file with vectors.", f"Expected one of {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.", "Check the path.")
    if path.stat().st_size > _LARGEST:
        raise BadInput(f"'{path.name}' is larger than 2 GiB.", "Save a part of it.")
    try:
        if kind in (".parquet", ".csv", ".tsv"):
            values, columns = _table(path, kind)
        else:
            values, columns = _arrays(path, kind)
    except BadInput:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ImportError) as error:
        raise BadInput(
            f"'{path.name}' cannot be read as {kind}: {str(error).splitlines()[0][:160]}",
            "Save it again, without pickled objects.",
        ) from error
    if values.ndim != 2 or not values.size:
        raise BadInput(
            f"'{path.name}' holds an array of shape {values.shape}, expected [example, unit].",
            "Save one row per example.",
        )
    if len(values) > _MOST:
        raise BadInput(f"'{path.name}' has {len(values):,} rows.", f"Save at most {_MOST:,}.")
    ids = columns.pop("id", columns.pop("ids", None))
    names = tuple(map(str, ids)) if ids is not None else tuple(map(str, range(len(values))))
    return VectorTable(
        path.name, np.asarray(values, np.float32), names, sha256_of_file(path), columns
    )


def _arrays(path: Path, kind: str) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
    if kind == ".npy":
        return _numbers(np.load(path, allow_pickle=False, mmap_mode="r"), path.name), {}
    if kind == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    else:
        from safetensors.numpy import load_file

        found = load_file(path)
    matrices = {name: each for name, each in found.items() if each.ndim == 2 and _numeric(each)}
    if not matrices:
        shapes = ", ".join(f"{name} {each.shape}" for name, each in list(found.items())[:5])
        raise BadInput(
            f"'{path.name}' holds no matrix of numbers, only {shapes or 'nothing'}.",
            "Save one array of shape [example, unit].",
        )
    chosen = max(matrices, key=lambda name: matrices[name].shape[1])
    rows = len(matrices[chosen])
    columns = {name: each for name, each in found.items() if each.shape == (rows,)}
    return matrices[chosen], columns


def _table(path: Path, kind: str) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
    import pyarrow.csv
    import pyarrow.parquet
    import pyarrow.types as types

    if kind == ".parquet":
        table = pyarrow.parquet.read_table(path)
    else:
        options = pyarrow.csv.ParseOptions(delimiter="," if kind == ".csv" else "\t")
        table = pyarrow.csv.read_csv(path, parse_options=options)
    wide = {
        name: table.column(name)
        for name in table.column_names
        if types.is_list(table.schema.field(name).type)
        or types.is_large_list(table.schema.field(name).type)
        or types.is_fixed_size_list(table.schema.field(name).type)
    }
    others = [name for name in table.column_names if name not in wide]
    if wide:
        name, column = next(iter(wide.items()))
        rows = column.to_pylist()
        lengths = {-1 if row is None else len(row) for row in rows}
        if len(lengths) != 1:
            raise BadInput(
                f"The vectors in column '{name}' of '{path.name}' differ in length: "
                f"{', '.join(map(str, sorted(lengths)[:5]))}.",
                "Give all of them one length.",
            )
        values = np.array(rows, np.float64)
        kept = others
    else:
        numeric = [
            each
            for each in others
            if (
                types.is_floating(table.schema.field(each).type)
                or types.is_integer(table.schema.field(each).type)
            )
            and each.lower() not in ("id", "ids", "label", "class", "target")
        ]
        if not numeric:
            raise BadInput(
                f"'{path.name}' has no column of numbers.",
                "Expected a column of lists, or one column per unit.",
            )
        values = np.column_stack(
            [table.column(each).to_numpy().astype(np.float64) for each in numeric]
        )
        kept = [each for each in others if each not in numeric]
    return values, {each: np.array(table.column(each).to_pylist()).astype(str) for each in kept}


def _numeric(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind in "fiub"


def _numbers(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if not _numeric(values):
        raise BadInput(f"'{name}' holds {values.dtype}, expected numbers.", "Save numbers.")
    return values
