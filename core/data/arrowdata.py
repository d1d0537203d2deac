"""Rows of Arrow and Parquet files as a data set: pictures, texts or tables, read from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.data.arrowset import (
    ArrowFile,
    class_names,
    flat_columns,
    picture,
    picture_columns,
    said,
)
from core.data.checked import faults, reason_of_bytes
from core.data.columns import need
from core.data.examples import Dataset
from core.data.files import Skipped
from core.data.ondemand import Column, OnDemand
from core.data.ownexamples import MOST_COLUMNS, OUTPUT_NAMES, numbered, plain
from core.data.splits import counted
from core.data.spooled import Numbered
from core.data.table import LABEL_NAMES
from core.data.texts import TEXT_NAMES
from core.errors import BadInput
from core.provenance import sha256_of_json
from core.tasks import Example

if TYPE_CHECKING:
    from core.data.opening import Wanted

_PICTURES = ("image", "img", "picture", "pixel_values", "photo")


def rows(files: Sequence[ArrowFile], name: str, key: str, wanted: Wanted) -> Dataset:
    """The rows of all files; ``key`` is their fingerprint.

    Raises ``BadInput`` when there is no column that the model reads, or no row.
    """
    where = f"'{name}'"
    flat = flat_columns(files[0])
    role = _roles(files[0], flat, where, wanted)
    ends = np.cumsum([len(each) for each in files])
    total = int(ends[-1])

    def value(column: str, row: int) -> Any:
        file = int(np.searchsorted(ends, row, side="right"))
        start = int(ends[file - 1]) if file else 0
        return files[file].value(column, row - start)

    main = role.get("text", "")
    others = [each for each in flat if each not in role.values()][:MOST_COLUMNS]
    bad: Mapping[int, str] = {}
    if main:
        check = _pictures(files, main) if wanted.pictures else _empty(files, main)
        kind = "pictures" if wanted.pictures else "texts"
        bad = faults(sha256_of_json([key, kind, main]), total, lambda: check)
    if len(bad) == total:
        raise BadInput(f"{where} has no row that can be read: {bad[0] if bad else 'it is empty'}.")
    keep = np.array([row for row in range(total) if row not in bad], np.int64)
    labels, classes = numbered(_labels(files, role.get("label", ""), keep))
    columns: dict[str, Column] = {each: partial(_column, files, each) for each in others if main}
    if any(each.part for each in files):
        parts = np.repeat([each.part for each in files], [len(each) for each in files])
        columns["part"] = parts.__getitem__
    ids = Numbered("row", keep)

    def read(place: int) -> Example:
        row = int(keep[place])
        if wanted.pictures:
            return Example(ids[place], picture(value(main, row)))
        if not main:
            record = {each: value(each, row) for each in others}
            return Example(ids[place], json.dumps(record, default=str).encode())
        target = str(value(role["output"], row) or "") if "output" in role else ""
        text = str(value(main, row)).encode("utf-8", "surrogatepass")
        return Example(ids[place], text, (target,) if target.strip() else ())

    return Dataset(
        name=name,
        ids=ids,
        read=read,
        fingerprint=key,
        labels=labels,
        classes=classes,
        columns=OnDemand(columns, keep),
        notes=(f"{counted(len(bad), 'row')} that cannot be read left out",) if bad else (),
        skipped=tuple(Skipped(f"row {row + 1}", reason) for row, reason in sorted(bad.items())),
        taken=role,
    )


def _roles(file: ArrowFile, flat: Sequence[str], where: str, wanted: Wanted) -> dict[str, str]:
    role: dict[str, str] = {}
    if wanted.label:
        role["label"] = need(flat, wanted.label, where)
    elif not wanted.writes:
        told = [each for each in flat if class_names(file, each)]
        usual = [each for each in flat if each.lower().strip() in LABEL_NAMES]
        if found := [*told, *usual]:
            role["label"] = found[0]
    rest = [each for each in flat if each not in role.values()]
    if wanted.pictures:
        known = picture_columns(file)
        if not known:
            raise BadInput(f"{where} has no column of pictures.", f"Its columns are {flat}.")
        usual = [each for each in known if each.lower() in _PICTURES]
        role["text"] = need(known, wanted.text, where) if wanted.text else (usual or known)[0]
    elif wanted.model.task.axis == "tokens":
        if wanted.writes:
            usual = [each for each in rest if each.lower().strip() in OUTPUT_NAMES]
            role |= {"output": usual[0]} if usual else {}
            rest = [each for each in rest if each not in role.values()]
        also = () if wanted.text else (*TEXT_NAMES, "source")
        alone = len(rest) == 1 and not wanted.text
        role["text"] = rest[0] if alone else need(rest, wanted.text or "text", where, also)
    return role


def _labels(files: Sequence[ArrowFile], column: str, keep: npt.NDArray[np.int64]) -> list[str]:
    if not column:
        return [""] * len(keep)
    names = class_names(files[0], column)
    whole = [said(each, names) for file in files for each in file.column(column)]
    return [whole[row] for row in keep.tolist()]


def _column(files: Sequence[ArrowFile], column: str, some: npt.NDArray[np.int64]) -> Any:
    import pandas as pd

    return plain(pd.Series([each for file in files for each in file.column(column)]))[some]


def _pictures(files: Sequence[ArrowFile], column: str) -> Iterator[str]:
    for file in files:
        for value in file.values(column):
            try:
                yield reason_of_bytes("the picture", picture(value))
            except BadInput as error:
                yield error.message


def _empty(files: Sequence[ArrowFile], column: str) -> Iterator[str]:
    for file in files:
        for value in file.values(column):
            yield "" if value is not None and str(value).strip() else "without a text"
