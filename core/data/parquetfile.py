"""A Parquet file of texts and numbers, a few rows of it in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.data.cells import texts
from core.data.splits import listed
from core.data.spool import Picked, Spool
from core.data.spooled import SpooledTable
from core.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS: Final = 8_192
_BUFFER: Final = 2**20  # without one, and with pre_buffer, whole row groups are held


def spooled(
    path: Path, choose: Callable[[tuple[str, ...]], Picked], max_rows: int
) -> tuple[SpooledTable, tuple[str, ...]]:
    """The columns that ``choose`` picks from those without lists and objects, and a note on these.
    Whole and other numbers stay numbers, all else becomes text.

    Raises ``BadInput`` when it is damaged, or has more than ``max_rows``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            if file.metadata.num_rows > max_rows:
                raise BadInput(f"'{path.name}' has more than {max_rows:,} rows.", "Take a sample.")
            usable: list[str] = []
            nested: list[str] = []
            for field in file.schema_arrow:
                (nested if pa.types.is_nested(field.type) else usable).append(field.name)
            picked = choose(tuple(usable))
            names = list(dict.fromkeys(picked.columns))
            kinds = [_kind(file.schema_arrow.field(name).type) for name in names]
            schema = pa.schema(list(zip(names, kinds, strict=True)))
            spool = Spool(path, schema, picked, max_rows)
            for batch in file.iter_batches(batch_size=_ROWS, columns=names):
                columns = [
                    _plain(batch.column(name), kind)
                    for name, kind in zip(names, kinds, strict=True)
                ]
                spool.add(pa.record_batch(columns, schema=schema))
            table = SpooledTable(*spool.done())
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise BadInput(
            f"'{path.name}' is a damaged Parquet file: {reason}", "Write it again."
        ) from error
    return table, (f"columns of lists or objects left out: {listed(nested)}",) if nested else ()


def _kind(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return kind
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def _plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not pa.types.is_string(kind):
        return column.cast(kind)
    given = column.type
    if pa.types.is_boolean(given) or pa.types.is_string(given) or pa.types.is_null(given):
        return column.cast(pa.string())
    if pa.types.is_large_string(given) or pa.types.is_string_view(given):
        return column.cast(pa.string())
    found = texts(column.to_pandas())
    missing = column.is_null().to_pylist()
    return pa.array([None if gone else text for text, gone in zip(found, missing, strict=True)])
