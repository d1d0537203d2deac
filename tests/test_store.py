"""The codec against hostile bytes, and the store against kills, flips, crowds and full disks."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.codec import Codec
from core.engine import message
from core.engine.call import Call
from core.errors import StorageError
from core.models.reference import ModelRef
from core.progress import Progress
from core.provenance import Provenance
from core.results import Architecture, Attribution, Fit, LayerInfo, Prediction
from core.store import Store, decode, encode
from core.tasks import Example, PixelGrid, Target, Task

KEY = "ab" * 32
ROOT = Path(__file__).parent.parent

PROVENANCE = Provenance("toy", "0" * 64, ("1" * 64,), "attribute", {"n_steps": 50}, 0, "cpu", 0.5)
PREDICTION = Prediction(
    example="a.png",
    classes=("cat", "dog"),
    logits=np.array([0.5, -np.inf], np.float32),
    probabilities=np.array([1, 0], np.float32),
    axis=PixelGrid(1, 2, 3),
    picture=np.zeros((2, 3, 3), np.uint8),
    provenance=PROVENANCE,
)
ATTRIBUTION = Attribution(
    method="saliency",
    example="a.png",
    target=Target(0, "cat", 1, "dog"),
    axis=PixelGrid(1, 2, 3),
    values=np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    score=1.25,
    fit=Fit("exact"),
    settings={"n_steps": 50, "layer": "auto", "nested": {"~": [1, (2, None)]}},
    picture=PREDICTION.picture,
    provenance=PROVENANCE,
    delta=float("nan"),
)
LAYER = LayerInfo("", "Net", "Module", False, 1, 2, 3, (1, 2), grid=(4, 5))
ARCHITECTURE = Architecture(
    model="toy",
    layers=(LAYER,),
    functions=("relu",),
    hooked_layers=(LAYER,),
    hooked_functions=(),
    provenance=PROVENANCE,
    fits={"saliency": Fit("not valid", "No gradient.")},
)


def same(first: Any, second: Any) -> bool:
    """Equal in value, type, dtype and shape, NaN equal to itself."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        equal = np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        return first.dtype == second.dtype and equal
    if isinstance(first, float):
        return first == second or (first != first and second != second)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return list(first) == list(second) and all(
            same(first[name], second[name]) for name in first
        )
    if hasattr(first, "__dataclass_fields__"):
        names = first.__dataclass_fields__
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    return bool(first == second)


VALUES = [
    None,
    True,
    -(2**70),
    1.5,
    float("inf"),
    "grün − ✓",
    b"",
    b"\x00\xff",
    (),
    [],
    {},
    (1, [2, {"~": "array", "of": (3,)}]),
    Task.IMAGE_CLASSIFICATION,
    Example("a.png", b"\x89PNG"),
    Progress(1, 2, 3.0, "note"),
    PREDICTION,
    ATTRIBUTION,
    (ATTRIBUTION, ATTRIBUTION),
    ARCHITECTURE,
    np.array(3, np.float32),
    np.zeros((0, 4), np.int64),
    np.arange(24, dtype=">i2").reshape(2, 3, 4).transpose(),
    np.array([True, False]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert same(decode(encode(value)), value)


def test_arrays_are_shared_and_read_only() -> None:
    both = decode(encode((ATTRIBUTION, PREDICTION)))
    assert both[0].picture is both[1].picture
    with pytest.raises(ValueError, match="read-only"):
        both[0].values[0] = 1
    once, twice = len(encode(ATTRIBUTION)), len(encode((ATTRIBUTION, ATTRIBUTION)))
    assert twice - once < once


def test_numpy_numbers_become_pythons() -> None:
    value = decode(encode({"index": np.int64(3), "score": np.float32(0.5)}))
    assert same(value, {"index": 3, "score": 0.5})


def test_anyone_can_open_it_with_numpy() -> None:
    with np.load(io.BytesIO(encode(ATTRIBUTION))) as archive:
        np.testing.assert_array_equal(archive["0.npy"], ATTRIBUTION.values)
        assert json.loads(archive["document.json"])["~"] == "Attribution"


@dataclass(frozen=True)
class Stranger:
    name: str


@dataclass(frozen=True)
class Target2:
    name: str


Target2.__name__ = "Target"  # an impostor


@pytest.mark.parametrize(
    "value", [object(), Stranger("x"), Target2("x"), {1: 2}, {1, 2}, np.array(["x"]), 1j, print]
)
def test_what_is_not_known_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_every_flipped_bit_is_noticed_or_harmless() -> None:
    data = encode(ATTRIBUTION)
    chance = random.Random(0)
    refused = 0
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << chance.randrange(8)
        try:
            value = decode(bytes(damaged))
        except StorageError:
            refused += 1
        else:
            assert same(value, ATTRIBUTION)  # dates and other fields of zip that nobody reads
    assert refused > 0.7 * len(data)


def test_every_cut_is_noticed() -> None:
    data = encode(PREDICTION)
    for length in range(0, len(data), 7):
        with pytest.raises(StorageError, match="damaged or from another version"):
            decode(data[:length])


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def document(value: Any, **members: bytes) -> bytes:
    named = {name.replace("_", "."): content for name, content in members.items()}
    return archive({"document.json": json.dumps(value).encode(), **named})


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Stranger("x")], dtype=object), allow_pickle=True)
    return buffer.getvalue()


ARRAY = {"~": "array", "of": "0.npy"}
HOSTILE = {
    "nothing": b"",
    "pickle": pickle.dumps(Stranger("x")),
    "no document": archive({"0.npy": b""}),
    "no json": archive({"document.json": b"{"}),
    "an array of objects": document(ARRAY, **{"0_npy": objects()}),
    "an unknown type": document({"~": "Stranger", "of": {"name": "x"}}),
    "a builtin": document({"~": "eval", "of": "1"}),
    "no tag": document({"name": "x"}),
    "a tag that is a list": document({"~": ["dict"], "of": {}}),
    "too many fields": document({"~": "Fit", "of": {"level": "exact", "more": 1}}),
    "too few fields": document({"~": "Fit", "of": {}}),
    "an unknown word": document({"~": "Task", "of": "espionage"}),
    "a missing member": document(ARRAY),
    "bytes as an array": document({"~": "bytes", "of": "0.npy"}, **{"0_npy": encode(1)}),
    "too deep": archive({"document.json": b"[" * 100_000 + b"]" * 100_000}),
    "a long number": archive({"document.json": b"1" * 10_000}),
    "a shape that is refused": document(
        {
            "~": "Prediction",
            "of": json.loads(zipfile.ZipFile(io.BytesIO(encode(PREDICTION))).read("document.json"))[
                "of"
            ]
            | {"classes": ["cat"]},
        },
    ),
    "a huge shape": document(
        ARRAY,
        **{"0_npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}")},
    ),
    "a negative shape": document(
        ARRAY,
        **{"0_npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -4)}", b"abcd")},
    ),
    "an endless header": document(ARRAY, **{"0_npy": npy("(" * 60_000)}),
    "compressed": archive({"document.json": b" " * 10**6 + b"1"}, zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_without_harm(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(StorageError):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_members_that_overlap_are_refused() -> None:
    honest = document(ARRAY, **{"0_npy": b"\x00" * 1000})
    directory = honest.index(b"PK\x01\x02", honest.index(b"PK\x01\x02") + 4)
    end = honest.index(b"PK\x05\x06")
    entry, copies = honest[directory:end], 50
    entries = b"".join(entry.replace(b"0.npy", f"{n:05}".encode()) for n in range(copies))
    size = (end - honest.index(b"PK\x01\x02")) + len(entries)
    count = (2 + copies).to_bytes(2, "little")
    tail = bytearray(honest[end:])
    tail[8:10] = tail[10:12] = count
    tail[12:16] = size.to_bytes(4, "little")
    with pytest.raises(StorageError, match="larger than the whole"):
        decode(honest[:end] + entries + bytes(tail))


def test_messages_cross_the_pipe_and_others_do_not() -> None:
    call = Call("predict", ModelRef("toy", "0"), (Example("a", b"1"),), {"k": (1, 2)}, urgent=True)
    pipe = io.BytesIO()
    pipe.write(message.frame(message.Ask(7, call)))
    pipe.write(message.frame(message.Done(7, b"payload")))
    pipe.seek(0)
    arrived = message.receive(pipe)
    assert same(arrived, message.Ask(7, call))
    assert arrived.call.key == call.key
    assert message.receive(pipe) == message.Done(7, b"payload")
    assert message.receive(pipe) is None
    with pytest.raises(StorageError):
        message.receive(io.BytesIO(b"a line of text, not a message"))
    with pytest.raises(StorageError):
        decode(pipe.getvalue()[8:])  # results know no messages
    odd = message.Failed(1, "os", "said", "next")
    assert type(odd.error).__name__ == "EngineError"


# The store


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    assert store.get(KEY) is None
    assert KEY not in store
    store.put(KEY, PREDICTION)
    assert KEY in store
    assert same(Store(store.folder).get(KEY), PREDICTION)
    store.put(KEY, (1, 2))
    assert store.get(KEY) == (1, 2)
    assert [path.suffix for path in store.folder.glob("*/*")] == [".npz"]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, KEY + "\n"])
def test_only_digests_are_keys(tmp_path: Path, key: str) -> None:
    with pytest.raises(StorageError, match="64 hexadecimal"):
        Store(tmp_path).get(key)


def test_a_flipped_bit_anywhere_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"values": np.arange(10)})
    path = tmp_path / KEY[:2] / f"{KEY}.npz"
    data = path.read_bytes()
    for position in range(0, len(data), 11):
        damaged = bytearray(data)
        damaged[position] ^= 16
        path.write_bytes(damaged)
        assert store.get(KEY) is None
        assert not path.exists()
    path.write_bytes(b"")
    assert store.get(KEY) is None
    foreign = Codec((Stranger,)).encode(Stranger("x"))  # whole, but of another version
    path.write_bytes(foreign + hashlib.sha256(foreign).digest())
    assert store.get(KEY) is None
    assert "is damaged and removed" in caplog.text


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    size = len(encode(bytes(1000))) + 32
    store = Store(tmp_path, limit=int(10.5 * size))
    keys = [f"{index:064x}" for index in range(11)]
    for age, key in enumerate(keys[:10]):
        store.put(key, bytes([age]) * 1000)
        os.utime(store._path(key), (1e9 + age, 1e9 + age))
    assert store.get(keys[0]) == bytes([0]) * 1000  # used: not the oldest any more
    store.put(keys[10], bytes(1000))
    assert [key in store for key in keys] == [True, False, False, *[True] * 8]
    total = sum(path.stat().st_size for path in tmp_path.glob("*/*"))
    assert total <= store.limit


def test_the_limit_holds_for_writers_that_do_not_know_of_each_other(tmp_path: Path) -> None:
    stores = [Store(tmp_path, limit=60_000) for _ in range(4)]
    for index in range(200):
        stores[index % 4].put(f"{index:064x}", bytes(1000))
        total = sum(path.stat().st_size for path in tmp_path.glob("*/*"))
        assert total <= 60_000


def test_what_is_larger_than_the_store_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=2000)
    store.put(KEY, b"small")
    store.put("cd" * 32, bytes(3000))
    assert store.get(KEY) == b"small"
    assert "cd" * 32 not in store


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.put(KEY, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"The disk is full: .* Free some space"):
            store.put(KEY, b"new")
    assert store.get(KEY) == b"old"
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    store = Store(tmp_path / "results")
    with pytest.raises(StorageError, match=r"Cannot write to .*--workspace"):
        store.put(KEY, 1)
    assert store.get(KEY) is None


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "ab").mkdir()
    old, young = tmp_path / "ab" / ".a-1.tmp", tmp_path / "ab" / ".b-2.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    store.put(KEY, 1)
    assert not old.exists()
    assert young.exists()


WRITER = """
import sys, itertools
from pathlib import Path
from core.store import Store
store = Store(Path(sys.argv[1]), 10**8)
print("ready", flush=True)
for number in itertools.count():
    store.put(f"{number % 3:064x}", (sys.argv[2], bytes([number % 251]) * 50_000))
    print("put", flush=True)
"""


def test_crowds_and_kills_leave_whole_values(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [f"{number:064x}" for number in range(3)]
    for round_ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), f"{round_}-{index}"],
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            for index in range(2)
        ]
        try:
            for writer in writers:
                assert writer.stdout is not None
                for _ in range(4 + round_):  # ready, and a few written
                    assert writer.stdout.readline()
            for key in keys * 20:
                who, data = store.get(key)
                assert who in {f"{r}-{i}" for r in range(round_ + 1) for i in range(2)}
                assert len(data) == 50_000
                assert len(set(data)) == 1
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        assert all(store.get(key) is not None for key in keys)
