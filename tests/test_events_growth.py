"""Event files that grow, break, lie and vanish while they are read."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from eventlogs import NAME, event, points, read, scalar, summary, tensor, write
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as their_crc

from core.training import events, records
from core.training.events import EventLog
from core.training.records import crc32c, masked_crc32c, record, scan

VERSION = event(wall_time=1.0, file_version="brain.Event:2")
LOSSES = [scalar("loss", step, step / 8) for step in range(12)]


def told(length: int) -> bytes:
    """The beginning of a record that says that it is so long, with the right checksum."""
    head = struct.pack("<Q", length)
    return head + struct.pack("<I", their_crc(head))


@pytest.mark.parametrize("length", [*range(12), 63, 64, 65, 128, 191, 2047, 2048, 4097, 100_003])
def test_checksums_are_those_of_tensorboard(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert masked_crc32c(data) == their_crc(data)
    assert scan(record(data), last=True).damaged == 0


def test_the_checksum_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4, has the polynomial


def test_a_file_read_as_it_grows_by_any_number_of_bytes(tmp_path: Path) -> None:
    tensor_text = tensor("text", {"dtype": 7, "string_val": [b"said"]})
    whole = b"".join([VERSION, *LOSSES[:6], summary(9, [tensor_text]), *LOSSES[6:]])
    path = write(tmp_path, [])
    for step in (1, 5, 7, 11, 12, 13, 50):
        log = EventLog(tmp_path)
        path.write_bytes(b"")
        for end in range(0, len(whole) + step, step):
            with path.open("ab") as file:
                file.write(whole[len(path.read_bytes()) : end])
            log.reload()
        assert not log.reload()
        history = log.history()
        assert history.scalars["loss"].values.tolist() == [each / 8 for each in range(12)]
        assert history.texts["text"].items == (b"said",)
        assert history.notes == ()


def test_a_cut_tail_is_said_and_completed(tmp_path: Path) -> None:
    whole = b"".join([VERSION, *LOSSES])
    path = write(tmp_path, [whole[:-5]])
    log = EventLog(tmp_path)
    assert log.reload()
    assert len(log.history().scalars["loss"].steps) == 11
    missing = len(LOSSES[-1]) - 5
    assert log.history().notes == (
        f"'{NAME}' ends within a record, of which {missing} bytes are there so far.",
    )
    assert not log.reload()
    path.write_bytes(whole)
    assert log.reload()
    assert len(log.history().scalars["loss"].steps) == 12
    assert log.history().notes == ()


def test_only_what_was_added_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(data: bytes, last: bool) -> records.Scan:
        sizes.append(len(data))
        return scan(data, last)

    monkeypatch.setattr(events, "scan", counted)
    path = write(tmp_path, [VERSION, *LOSSES])
    other = write(tmp_path, [VERSION, *LOSSES], f"{NAME}.2")
    log = EventLog(tmp_path)
    log.reload()
    assert sizes == [path.stat().st_size, other.stat().st_size]
    sizes.clear()
    with path.open("ab") as file:
        file.write(LOSSES[0])
    assert log.reload()
    assert sizes == [len(LOSSES[0])]
    assert len(log.history().scalars["loss"].steps) == 25


def test_a_history_is_not_changed_by_what_comes_later(tmp_path: Path) -> None:
    path = write(tmp_path, LOSSES[:5])
    log = EventLog(tmp_path)
    log.reload()
    before = log.history()
    assert log.history() is before
    with path.open("ab") as file:
        file.write(b"".join(LOSSES[5:]))
    log.reload()
    assert before.scalars["loss"].steps.tolist() == list(range(5))
    assert log.history().scalars["loss"].steps.tolist() == list(range(12))


def test_records_longer_than_a_piece_and_pieces_that_cut_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = random.Random(4).randbytes(5000)
    image = summary(3, [{"tag": "picture", "image": {"encoded_image_string": picture}}])
    write(tmp_path, [VERSION, *LOSSES, image, *LOSSES])
    for piece in (16, 100, 1000, 6000):
        monkeypatch.setattr(events, "_PIECE", piece)
        history = read(tmp_path)
        assert len(history.scalars["loss"].steps) == 24
        assert history.images["picture"].items == (picture,)
        assert history.notes == ()


def test_a_flipped_bit_costs_the_record_it_is_in(tmp_path: Path) -> None:
    whole = bytearray(b"".join(LOSSES))
    path = write(tmp_path, [])
    ends = np.cumsum([len(each) for each in LOSSES])
    for at in range(len(whole) - len(LOSSES[-1])):
        whole[at] ^= 1 << at % 8
        path.write_bytes(whole)
        whole[at] ^= 1 << at % 8
        hit = int(np.searchsorted(ends, at, side="right"))
        history = read(tmp_path)
        left = [step for step in range(len(LOSSES)) if step != hit]
        assert history.scalars["loss"].steps.tolist() == left, at
        assert history.notes == (
            f"'{NAME}' is damaged in 1 place: {len(LOSSES[hit])} bytes could not be read.",
        )


def test_missing_bytes_cost_the_records_they_are_missing_from(tmp_path: Path) -> None:
    whole = b"".join(LOSSES)
    path = write(tmp_path, [])
    ends = np.cumsum([len(each) for each in LOSSES])
    for at in range(len(whole) - 100):
        path.write_bytes(whole[:at] + whole[at + 30 :])
        first, last = np.searchsorted(ends, [at, at + 29], side="right")
        lost = set(range(first, last + 1))
        if at in (0, *ends) and at + 30 in ends:
            continue  # nothing is damaged
        found = read(tmp_path).scalars["loss"].steps.tolist()
        assert found == [step for step in range(len(LOSSES)) if step not in lost], at


def test_other_bytes_in_between_cost_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(5)
    for other in (b"\0" * 999, rng.randbytes(999), b"\xff" * 3, told(40), told(10)):
        write(tmp_path, [*LOSSES[:4], other, *LOSSES[4:]])
        history = read(tmp_path)
        assert history.scalars["loss"].steps.tolist() == list(range(12))
        assert history.notes == (
            f"'{NAME}' is damaged in 1 place: {len(other)} bytes could not be read.",
        )


@pytest.mark.parametrize("length", [200, 5000, 2**31 - 1, 2**31, 2**63, 2**64 - 1])
def test_lying_lengths_cost_no_memory_and_no_other_record(tmp_path: Path, length: int) -> None:
    write(tmp_path, [*LOSSES[:4], told(length), *LOSSES[4:]])
    log = EventLog(tmp_path)
    tracemalloc.start()
    log.reload()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    assert log.history().scalars["loss"].steps.tolist() == list(range(12))
    assert log.history().notes == (f"'{NAME}' is damaged in 1 place: 12 bytes could not be read.",)


def test_many_lying_lengths_are_given_up_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    plain = records.masked_crc32c

    def counted(data: bytes) -> int:
        checked.append(len(data))
        return plain(data)

    monkeypatch.setattr(records, "masked_crc32c", counted)
    count = 20_000
    inside = [told(12 * (count - index) - 12) for index in range(count)]
    for heads in (inside, [told(2**30)] * count):
        data = b"".join(heads) + b"\xff" * 24
        for last in (True, False):
            checked.clear()
            scan(data, last)
            assert sum(checked) < 8 * len(data) + (2 << 20)


def test_a_file_damaged_all_over_is_read_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = records._rows_crc32c

    def counted(rows: records.Bytes) -> records.Words:
        looked.append(rows.size)
        return plain(rows)

    monkeypatch.setattr(records, "_rows_crc32c", counted)
    data = b"".join(LOSSES * 500).replace(b"\n", b"\r\n")  # a copy "as text"
    found = scan(data, last=True)
    assert found.damaged == 6000
    assert found.groups == ()
    assert found.lost + len(data) - found.end == len(data)
    assert sum(looked) < 10 * len(data)


def test_a_file_of_zeros_or_of_something_else(tmp_path: Path) -> None:
    for content in (b"\0" * 5000, b"no events at all, but a text\n" * 99):
        path = write(tmp_path, [content])
        log = EventLog(tmp_path)
        log.reload()
        assert log.history().scalars == {}
        assert "could not be read" in log.history().notes[0]
        with path.open("ab") as file:
            file.write(b"".join(LOSSES))
        log.reload()
        assert len(log.history().scalars["loss"].steps) == 12


def test_sound_records_that_are_no_events(tmp_path: Path) -> None:
    bad_shape = {"dtype": 1, "float_val": [1.0] * 4, "tensor_shape": {"dim": [{"size": 3}]}}
    giant = {"dtype": 1, "float_val": [1.0], "tensor_shape": {"dim": [{"size": 2**40}]}}
    below = {"dtype": 1, "tensor_shape": {"dim": [{"size": -1}, {"size": -1}]}}
    complex_ = {"dtype": 8, "scomplex_val": [1.0, 2.0]}
    limits = {"bucket_limit": [1.0, 2.0], "bucket": [1.0]}
    write(
        tmp_path,
        [
            record(b"\xff\xff\xff not protocol buffers"),
            record(b""),
            *(summary(1, [tensor("t", each)]) for each in (bad_shape, giant, below, complex_)),
            summary(1, [{"tag": "h", "histo": limits}]),
            *LOSSES,
        ],
    )
    history = read(tmp_path)
    assert points(history) == {"loss": [(step, 1.5, step / 8) for step in range(12)]}
    assert history.arrays == history.histograms == {}
    assert history.notes == (f"6 values in '{NAME}' could not be read.",)


def test_files_that_shrink_are_replaced_or_vanish(tmp_path: Path) -> None:
    path = write(tmp_path, LOSSES)
    log = EventLog(tmp_path)
    log.reload()
    path.write_bytes(LOSSES[3])
    assert log.reload()
    assert log.history().scalars["loss"].steps.tolist() == [3]
    write(tmp_path, [scalar("loss", 70, 1), *LOSSES], "new").replace(path)
    assert log.reload()
    assert log.history().scalars["loss"].steps.tolist() == [*range(12), 70]
    path.unlink()
    assert log.reload()
    assert log.history().scalars == {}
    assert not log.reload()


def test_a_file_that_cannot_be_opened_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, LOSSES)
    log = EventLog(tmp_path)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        assert log.reload()
        assert log.history().notes == (f"'{path.name}' cannot be read: Permission denied.",)
        assert not log.reload()
    assert log.reload()
    assert log.history().notes == ()
    assert len(log.history().scalars["loss"].steps) == 12


def test_what_is_kept_of_pictures_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_KEPT", 10_000)
    write(
        tmp_path,
        [
            summary(step, [{"tag": "p", "image": {"encoded_image_string": bytes(1000)}}])
            for step in range(100)
        ],
    )
    history = read(tmp_path)
    images = history.images["p"]
    assert 4 < len(images.items) <= 10
    assert np.ptp(images.steps) > 80
    assert "Not all images 'p'" in history.notes[0]
