"""The cells of a column as texts or numbers: what is missing, what is blank, what is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MISSING_TEXTS: Final = ("", "na", "n/a", "nan", "null", "none", "?", "-", "#n/a")
_SHORT: Final = 200
# what is certainly not blank: a character outside these may still be one, and is looked at again
_INK: Final = (
    r"[^\x00-\x20\x7f-\x{a0}\x{ad}\x{1680}\x{180e}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}"
    r"\x{2060}\x{3000}\x{feff}]"
)


def texts(column: pd.Series[Any]) -> list[str]:
    """The values of a column as text; missing ones are empty, whole numbers have no ``.0``."""
    import pandas as pd

    missing = column.isna().to_numpy()
    values = column.tolist()
    if pd.api.types.is_float_dtype(column.dtype):
        values = [f"{value:.0f}" if float(value).is_integer() else value for value in values]
    return ["" if gone else str(value) for value, gone in zip(values, missing, strict=True)]


def text_of(value: object) -> str:
    """One value as text, as ``texts`` has it."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


def short(text: str) -> str:
    """A text as it is shown beside a point: whole texts are in the data."""
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def blank(column: pa.Array) -> npt.NDArray[np.int64]:
    """The positions of values that are missing or hold nothing but white space."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    begins = pc.utf8_slice_codeunits(column, 0, 1)  # of the whole text it takes long
    inked = pc.match_substring_regex(begins, _INK).fill_null(False)
    doubtful = np.flatnonzero(~inked.to_numpy(zero_copy_only=False))
    return np.array(
        [row for row in doubtful.tolist() if not (column[row].as_py() or "").strip()], np.int64
    )


def as_numbers(column: pa.Array) -> npt.NDArray[np.float64] | None:
    """The values as float64, NaN where one is missing; None unless all others are numbers."""
    import pyarrow as pa

    try:
        numbers = _stripped(column).cast(pa.float64(), safe=pa.types.is_string(column.type))
    except pa.ArrowInvalid:
        return None
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def misfits(column: pa.Array) -> npt.NDArray[np.int64]:
    """The positions of values that are neither missing nor numbers."""
    import pyarrow as pa

    whole = _stripped(column)
    found = []
    for row, value in enumerate(whole.to_pylist()):
        try:
            pa.scalar(value, pa.string()).cast(pa.float64())
        except pa.ArrowInvalid:
            found.append(row)
    return np.array(found, np.int64)


def _stripped(column: pa.Array) -> pa.Array:
    """Without white space around values, and null where one is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(MISSING_TEXTS))
    return pc.if_else(missing, None, trimmed)
