"""What we write into event files, as TensorBoard's own reader and ours find it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from eventlogs import peer, peer_points, points, read
from tensorboard.util.tensor_util import make_ndarray

from core.errors import StorageError
from core.training.eventfile import EventWriter


def test_everything_written_is_read_again_by_tensorboard_and_by_us(tmp_path: Path) -> None:
    edges, counts = np.linspace(-1, 2, 7), np.array([0.0, 3, 0, 5, 1, 0])
    confusion = np.arange(9.0).reshape(3, 3)
    with EventWriter(tmp_path) as writer:
        for step in range(0, 600, 2):
            writer.scalars(step, {"step/loss": math.cos(step), "step/norm": step}, seconds=step)
        writer.scalars(600, {"step/loss": math.nan, "step/norm": math.inf})
        writer.histogram(
            7, "weights/a", edges, counts, minimum=-0.9, maximum=1.9, total=4, sum_of_squares=9
        )
        writer.text(8, "stage", "heads of größe 3")
        writer.image(9, "picture", b"\x89PNG", 5, 7)
        writer.array(10, "val/confusion", confusion)
    history, theirs = read(tmp_path), peer(tmp_path)
    assert history.notes == ()
    ours = points(history)
    assert ours["step/norm"] == peer_points(tmp_path)["step/norm"]
    assert ours["step/loss"][:-1] == peer_points(tmp_path)["step/loss"][:-1]
    assert [value for _, _, value in ours["step/loss"][:-1]] == [
        float(np.float32(math.cos(step))) for step in range(0, 600, 2)
    ]
    assert math.isnan(ours["step/loss"][-1][2])
    assert [seconds for _, seconds, _ in ours["step/norm"][:3]] == [0, 2, 4]

    histogram = history.histograms["weights/a"]
    assert np.array_equal(histogram.edges[0], edges)
    assert np.array_equal(histogram.counts[0], counts)
    [told] = theirs.Histograms("weights/a")
    assert (told.step, told.histogram_value.num, told.histogram_value.sum) == (7, 9, 4)
    assert history.texts["stage"].items == ("heads of größe 3".encode(),)
    assert theirs.Tensors("stage")[0].tensor_proto.string_val[0].decode() == "heads of größe 3"
    assert history.images["picture"].items == (b"\x89PNG",)
    assert theirs.Images("picture")[0].encoded_image_string == b"\x89PNG"
    assert np.array_equal(history.arrays["val/confusion"].items[0], confusion)
    [array] = theirs.Tensors("val/confusion")
    assert np.array_equal(make_ndarray(array.tensor_proto), confusion)


def test_resuming_drops_what_was_written_from_its_step_on(tmp_path: Path) -> None:
    for part, (first, last) in enumerate(((0, 30), (20, 40), (35, 50))):
        with EventWriter(tmp_path, first) as writer:
            for step in range(first, last):
                writer.scalars(step, {"loss": part})
    found = points(read(tmp_path))
    assert found == peer_points(tmp_path)
    assert [(step, value) for step, _, value in found["loss"]] == [
        (step, 0 if step < 20 else 1 if step < 35 else 2) for step in range(50)
    ]


def test_events_are_there_for_others_once_flushed(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path)
    writer.scalars(1, {"loss": 0.5})
    writer.flush()
    assert list(points(read(tmp_path))) == ["loss"]
    writer.close()
    writer.close()


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventWriter(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("core.training.eventfile.os.fsync", full)
        with pytest.raises(StorageError, match=r"No space left on device.*resume"):
            writer.flush()
    writer.close()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        EventWriter(tmp_path / "file")
