"""Which of many picture files are no pictures, looked for once and remembered.

Only the first and last bytes of a file are read, unless they leave a doubt
(``core.data.image.fault``), so that a large data set opens in seconds. What was found is kept in
the user's cache under the fingerprint of the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from core.data.fetch import decoded_folder
from core.data.files import Files
from core.data.image import MAX_BYTES, fault
from core.errors import BadInput, StorageError
from core.store import write_atomically

_HEAD: Final = 2**14
_MANY: Final = 500  # from so many on it is worth a file
_REMEMBERED: dict[str, dict[int, str]] = {}


def faults(fingerprint: str, count: int, reasons: Callable[[], Iterable[str]]) -> Mapping[int, str]:
    """By position those of ``count`` examples that cannot be read, each with its reason, where the
    ``reasons`` are not empty. They are asked for once for each ``fingerprint``.
    """
    known = _remembered(fingerprint)
    if known is not None:
        return known
    found = {position: reason for position, reason in enumerate(reasons()) if reason}
    _remember(fingerprint, found, count)
    return found


def reasons_of_files(tree: Files, names: Sequence[str]) -> Iterator[str]:
    """Why each file is no picture, empty where it is one."""
    for name in names:
        try:
            head, tail = tree.ends(name, _HEAD)
            yield fault(name, head, tail, partial(tree.read, name, MAX_BYTES))
        except BadInput as error:
            yield error.message


def reason_of_bytes(name: str, data: bytes) -> str:
    """Why bytes are no picture, empty where they are one."""
    if len(data) > MAX_BYTES:
        return f"it has more than {MAX_BYTES // 2**20} MiB"
    return fault(name, data[:_HEAD], data[-_HEAD:], lambda: data)


def _remembered(fingerprint: str) -> Mapping[int, str] | None:
    if fingerprint in _REMEMBERED:
        return _REMEMBERED[fingerprint]
    with suppress(OSError, ValueError, TypeError, AttributeError):
        raw = json.loads((decoded_folder() / "checked" / f"{fingerprint}.json").read_bytes())
        return {int(position): str(reason) for position, reason in raw.items()}
    return None


def _remember(fingerprint: str, found: dict[int, str], count: int) -> None:
    while len(_REMEMBERED) > 64:
        _REMEMBERED.pop(next(iter(_REMEMBERED)))
    _REMEMBERED[fingerprint] = found
    if count >= _MANY:
        with suppress(StorageError):
            path = decoded_folder() / "checked" / f"{fingerprint}.json"
            write_atomically(path, json.dumps(found).encode(), durable=False)
