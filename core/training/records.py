"""Records of event files: framing, checksums, and reading on after damage.

A record is the length of its payload (8 bytes, little endian), the masked CRC-32C of these 8 bytes
(4), the payload, and the masked CRC-32C of the payload (4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

_HEADER = struct.Struct("<QI")
_FRAME = _HEADER.size + 4  # bytes of a record beside its payload
_LONGEST = 2**31 - 1  # no message in protocol buffers is longer
_BLOCK = 64  # bytes whose checksum is looked up at once
_AT_ONCE = 256  # rows looked up in one go
_ROWS = 4096  # rows at a time, for the sake of the processor's cache
_SHORT = 768  # below this a plain loop is faster
_STEP = 1 << 20  # bytes searched at a time
_TRIES = 64  # records looked at behind one that does not end


def _tables() -> Words:
    """``[column, byte]``: what a byte in that column of a block adds to the block's checksum."""
    table: Words = np.arange(256, dtype=np.uint32)
    polynomial = np.uint32(0x82F63B78)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ polynomial, table >> 1)
    tables = np.empty((_BLOCK, 256), np.uint32)
    tables[-1] = table
    for column in range(_BLOCK - 1, 0, -1):
        tables[column - 1] = table[tables[column] & 255] ^ (tables[column] >> 8)
    return tables


_TABLES = _tables()
_TABLE = tuple(int(word) for word in _TABLES[-1])


def _shifted(shift: Words, checksums: Words) -> Words:
    """Checksums of the same bytes followed by zeros, as many as ``shift`` ``[4, 256]`` is for."""
    low, second, third, high = shift
    result: Words = low[checksums & 255] ^ second[(checksums >> 8) & 255]
    result ^= third[(checksums >> 16) & 255] ^ high[checksums >> 24]
    return result


def _shifts() -> tuple[Words, ...]:
    """For ``_BLOCK`` zeros, twice as many, and so on up to 4 GiB."""
    shifts = [_TABLES[:4]]
    while _BLOCK << len(shifts) < 1 << 32:
        shifts.append(_shifted(shifts[-1], shifts[-1]))
    return tuple(shifts)


_SHIFTS = _shifts()


def _linear(rows: Bytes) -> Words:
    """CRC-32C of each row ``[row, column]`` begun at zero and not inverted: linear over GF(2), so
    that columns add up, zeros in front do not count, and halves can be put together.
    """
    count, length = rows.shape
    if length <= _BLOCK and count <= _AT_ONCE:
        looked_up = _TABLES[np.arange(_BLOCK - length, _BLOCK), rows]
        at_once: Words = np.bitwise_xor.reduce(looked_up, axis=1)
        return at_once
    if length <= _BLOCK:
        result = np.zeros(count, np.uint32)
        for start in range(0, count, _ROWS):
            columns = np.ascontiguousarray(rows[start : start + _ROWS].T)
            part = result[start : start + _ROWS]
            for table, column in zip(_TABLES[_BLOCK - length :], columns, strict=True):
                part ^= table[column]
        return result
    blocks = -(-length // _BLOCK)
    padded = np.zeros((count, blocks * _BLOCK), np.uint8)
    padded[:, -length:] = rows
    sums = _linear(padded.reshape(-1, _BLOCK)).reshape(count, blocks)
    for shift in _SHIFTS[: (blocks - 1).bit_length()]:
        if sums.shape[1] % 2:
            sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
        sums = _shifted(shift, sums[:, ::2]) ^ sums[:, 1::2]
    return sums[:, 0]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of ``data``."""
    if len(data) >= _SHORT:
        return int(_rows_crc32c(np.frombuffer(data, np.uint8)[None])[0])
    result = 0xFFFFFFFF
    for byte in data:
        result = _TABLE[(result ^ byte) & 255] ^ (result >> 8)
    return result ^ 0xFFFFFFFF


def _rows_crc32c(rows: Bytes) -> Words:
    """CRC-32C of each row ``[row, column]``."""
    if rows.shape[1] < 4:
        return np.array([crc32c(row.tobytes()) for row in rows], np.uint32)
    begun = rows.copy()
    begun[:, :4] ^= 255
    result = _linear(begun)
    result ^= np.uint32(0xFFFFFFFF)
    return result


def _masked(checksums: Words) -> Words:
    result: Words = (checksums >> np.uint32(15)) | (checksums << np.uint32(17))
    result += np.uint32(0xA282EAD8)
    return result


def masked_crc32c(data: bytes) -> int:
    """The form in which records carry their checksums."""
    checksum = crc32c(data)
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    """``payload`` framed as one record."""
    length = struct.pack("<Q", len(payload))
    parts = (length, _word(masked_crc32c(length)), payload, _word(masked_crc32c(payload)))
    return b"".join(parts)


def _word(value: int) -> bytes:
    return struct.pack("<I", value)


@dataclass(frozen=True)
class Group:
    """Payloads of one length: ``rows`` ``[record, byte]``, and where in the file each stands among
    the records of the same scan, ``order`` ``[record]``.
    """

    order: Ints
    rows: Bytes


@dataclass(frozen=True)
class Scan:
    """The whole records of a piece of a file, in groups by length.

    ``end`` is where reading goes on, ``needed`` how many bytes the record there has (0: unknown),
    ``damaged`` and ``lost`` how many places and bytes could not be read.
    """

    groups: tuple[Group, ...]
    count: int
    end: int
    needed: int
    damaged: int
    lost: int


def scan(data: bytes, last: bool) -> Scan:
    """The records in ``data``; ``last`` says that the file holds nothing behind it now.

    A record that is not whole yet is left for later, unless whole ones follow: then it is damaged.
    """
    return _Scanner(data, last).scan()


class _Scanner:
    def __init__(self, data: bytes, last: bool) -> None:
        self._data = data
        self._bytes = np.frombuffer(data, np.uint8)
        self._last = last
        self._damaged = self._lost = 0
        self._budget = 4 * len(data) + _STEP  # bytes checked again at most: lying lengths are cheap

    def scan(self) -> Scan:
        data, size = self._data, len(self._data)
        starts: list[int] = []
        lengths: list[int] = []
        known: dict[bytes, int] = {}
        here = needed = 0
        while True:
            head = data[here : here + _HEADER.size]
            length = known.get(head)
            if length is None:
                if len(head) < _HEADER.size:
                    break
                length = _length(head)
                if length is None:
                    if starts and starts[-1] + lengths[-1] + 4 == here:
                        start = starts[-1]
                        if not self._sound(start, lengths[-1]):  # bytes are missing from it
                            del starts[-1], lengths[-1]
                            here = start - _HEADER.size
                    here = self._skip(here, self._next_header(here + 1))
                    continue
                known[head] = length
            after = here + length + _FRAME
            if after > size:
                found = self._next_whole(here + 1) if self._last else None
                if found is None:
                    needed = length + _FRAME
                    break
                here = self._skip(here, found)
                continue
            starts.append(here + _HEADER.size)
            lengths.append(length)
            here = after
        groups = self._groups(np.array(starts, np.int64), np.array(lengths, np.int64))
        return Scan(groups, len(starts), here, needed, self._damaged, self._lost)

    def _skip(self, start: int, end: int) -> int:
        self._damaged += 1
        self._lost += end - start
        return end

    def _groups(self, starts: Ints, lengths: Ints) -> tuple[Group, ...]:
        """Records by length, without those whose checksum is wrong."""
        groups = []
        by_length = np.argsort(lengths, kind="stable")
        for order in np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1):
            if not order.size:
                continue
            length = int(lengths[order[0]])
            windows = np.lib.stride_tricks.sliding_window_view(self._bytes, length + 4)
            rows = windows[starts[order]]
            told = np.ascontiguousarray(rows[:, length:]).view("<u4")[:, 0]
            sound = _masked(_rows_crc32c(rows[:, :length])) == told
            wrong = int(order.size - np.count_nonzero(sound))
            if wrong:
                self._damaged += wrong
                self._lost += wrong * (length + _FRAME)
                order, rows = order[sound], rows[sound]
            if order.size:
                groups.append(Group(order, rows[:, :length]))
        return tuple(sorted(groups, key=lambda group: int(group.order[0])))

    def _sound(self, start: int, length: int) -> bool:
        """Whether the payload's checksum is right; taken for right when too much was checked."""
        self._budget -= length + _FRAME
        if self._budget < 0:
            return True
        payload = self._data[start : start + length]
        return _word(masked_crc32c(payload)) == self._data[start + length : start + length + 4]

    def _next_header(self, start: int) -> int:
        """Where the next record may begin; the last bytes may be the beginning of one."""
        index = int(np.searchsorted(self._headers, start))
        if index < self._headers.size:
            return int(self._headers[index])
        return max(start, len(self._data) - _HEADER.size + 1)

    def _next_whole(self, start: int) -> int | None:
        """Where a whole sound record begins."""
        index = int(np.searchsorted(self._headers, start))
        for here in self._headers[index : index + _TRIES].tolist():
            begin = here + _HEADER.size
            length = _length(self._data[here:begin]) or 0
            if begin + length + 4 <= len(self._data) and self._sound(begin, length):
                return int(here)
        return None

    @cached_property
    def _headers(self) -> Ints:
        """Where a length stands with its right checksum."""
        found = [np.zeros(0, np.int64)]
        for low in range(0, len(self._data) - _HEADER.size + 1, _STEP):
            piece = self._bytes[low : low + _STEP + _HEADER.size - 1]
            heads = np.lib.stride_tricks.sliding_window_view(piece, _HEADER.size)
            zero = piece == 0
            high = zero[4:-7] & zero[5:-6] & zero[6:-5] & zero[7:-4]  # of a length below 2**32
            here = np.flatnonzero(high)
            told = np.ascontiguousarray(heads[here, 8:]).view("<u4")[:, 0]
            sound = _masked(_rows_crc32c(heads[here, :8])) == told
            found.append(here[sound] + low)
        return np.concatenate(found)


def _length(head: bytes) -> int | None:
    """The length in a record's first 12 bytes, None when it cannot be right."""
    length, checksum = _HEADER.unpack(head)
    if length > _LONGEST or masked_crc32c(head[:8]) != checksum:
        return None
    return int(length)
