"""The texts or rows in one uploaded file, to pick from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.data.ownexamples import rows as rows_of
from core.data.text import decode
from core.data.textlist import MOST, TABLES, read_list
from core.store import write_atomically
from core.tasks import Example

Found = tuple[tuple[str, ...], tuple[str, ...]]


def texts(file: Example, column: str = "") -> Found:
    """The texts in a table, or in the lines of a text file, and notes on what was left out.

    Raises ``BadInput``.
    """
    if Path(file.name).suffix.lower() not in TABLES:
        lines = tuple(line.strip() for line in decode(file).splitlines() if line.strip())
        return lines[:MOST], (f"The first {MOST:,} lines.",) if len(lines) > MOST else ()
    with _laid(file) as path:
        found, notes = read_list(path, column)
    return tuple(each.data.decode("utf-8", "replace") for each in found), notes


def rows(file: Example) -> Found:
    """The first rows of a table as JSON objects, and notes on what was left out.

    Raises ``BadInput``.
    """
    with _laid(file) as path:
        found = rows_of(path, "columns")
        count = min(len(found), MOST)
        first = tuple(each.data.decode("utf-8", "replace") for each in found.examples(range(count)))
    more = (f"The first {MOST:,} of {len(found):,} rows.",) if len(found) > MOST else ()
    return first, (*found.notes, *more)


@contextmanager
def _laid(file: Example) -> Iterator[Path]:
    """The file on disk under its own name, which messages say, as long as a name may be."""
    ending = Path(file.name).suffix[-20:]
    stem = re.sub(r"[/\\\0]", "-", Path(file.name).stem).encode()[:100].decode(errors="ignore")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem or 'data'}{ending}"
        write_atomically(path, file.data, durable=False)
        yield path
