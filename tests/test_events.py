"""What our reader finds in event files, against TensorBoard's own reader and protocol buffers."""

from __future__ import annotations

import io
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eventlogs import (
    NAME,
    event,
    peer,
    peer_points,
    points,
    read,
    scalar,
    summary,
    tensor,
    write,
)
from PIL import Image
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.summary import Writer
from tensorboard.util.tensor_util import make_tensor_proto

from core.errors import BadInput
from core.training import summaries
from core.training.events import EventLog, find_runs

VERSION = event(wall_time=1.0, file_version="brain.Event:2")


def start(step: int) -> bytes:
    """The record that says that training goes on from ``step``."""
    return event(wall_time=2.0, step=step, session_log=SessionLog(status=SessionLog.START))


def fields(proto: Any) -> dict[str, Any]:
    """A tensor as TensorBoard makes it."""
    return {field.name: value for field, value in proto.ListFields()}


def test_numbers_of_a_summary_writer_are_those_tensorboard_reads(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    rng = np.random.default_rng(1)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(400):
            for tag in ("loss", "val/loss", "größe"):
                writer.add_scalar(tag, rng.normal(), step * 97)
        writer.add_scalar("double", 0.1, 3, new_style=True, double_precision=True)
        writer.add_scalar("tensor", 0.1, 4, new_style=True)
    found = points(read(tmp_path))
    assert found == peer_points(tmp_path)
    assert set(found) == {"loss", "val/loss", "größe", "double", "tensor"}
    assert len(found["loss"]) == 400
    assert found["double"][0][2] == 0.1
    assert read(tmp_path).notes == ()


def test_numbers_of_lightning_are_those_tensorboard_reads(tmp_path: Path) -> None:
    from lightning_fabric.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path, name="lightning_logs")
    logger.log_hyperparams({"lr": 0.1, "layers": 3})
    for step in range(50):
        logger.log_metrics({"train_loss": 1 / (step + 1), "epoch": step // 10}, step)
    logger.finalize("success")
    runs = find_runs(tmp_path)
    assert [run.relative_to(tmp_path).as_posix() for run in runs] == ["lightning_logs/version_0"]
    found = points(read(runs[0]))
    assert found == peer_points(runs[0])
    assert [value for _, _, value in found["epoch"]] == [step // 10 for step in range(50)]


def test_numbers_in_the_form_of_keras_are_those_tensorboard_reads(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path))
    for step in range(300):
        writer.add_scalar("epoch_loss", math.sin(step), step)
        writer.add_scalar("epoch_accuracy", step / 300, step, description="share of right answers")
    writer.close()
    found = points(read(tmp_path))
    assert found == peer_points(tmp_path)
    assert len(found["epoch_loss"]) == len(found["epoch_accuracy"]) == 300


def test_histograms_images_and_texts_of_a_summary_writer(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    rng = np.random.default_rng(2)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(3):
            writer.add_histogram("weights", rng.normal(size=1000), step)
            writer.add_image("picture", np.full((3, 5, 7), step / 4, np.float32), step)
            writer.add_text("remark", f"**{step}** übrig", step)
    history, theirs = read(tmp_path), peer(tmp_path)
    series = history.histograms["weights"]
    assert series.steps.tolist() == [0, 1, 2]
    for index, told in enumerate(theirs.Histograms("weights")):
        proto = told.histogram_value
        assert proto.bucket[0] == 0  # it only says where the second one begins
        assert series.edges[index].tolist() == list(proto.bucket_limit)
        assert series.counts[index].tolist() == list(proto.bucket[1:])
        assert series.counts[index].sum() == 1000
    images = history.images["picture"]
    assert list(images.items) == [told.encoded_image_string for told in theirs.Images("picture")]
    with Image.open(io.BytesIO(images.items[2])) as image:
        assert image.size == (7, 5)
    texts = history.texts["remark/text_summary"]
    assert [text.decode() for text in texts.items] == [f"**{step}** übrig" for step in range(3)]
    assert history.scalars == {}


@pytest.mark.parametrize(
    ("dtype", "exact"),
    [
        ("float32", 0.10000000149011612),
        ("float64", 0.1),
        ("float16", 0.0999755859375),
        ("int8", -3),
        ("uint8", 200),
        ("int16", -300),
        ("int32", -70_000),
        ("int64", 2**40),
        ("bool", 1),
    ],
)
def test_a_number_in_a_tensor_of_any_type(tmp_path: Path, dtype: str, exact: float) -> None:
    made = make_tensor_proto(np.array(exact, dtype))
    write(
        tmp_path,
        [summary(step, [tensor("x", fields(made), "scalars")]) for step in range(10)],
    )
    assert points(read(tmp_path)) == {"x": [(step, 1.5, exact) for step in range(10)]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"dtype": 1, "float_val": [0.25]}, 0.25),
        ({"dtype": 2, "double_val": [0.1]}, 0.1),
        ({"dtype": 3, "int_val": [-5]}, -5.0),
        ({"dtype": 9, "int64_val": [-(2**50)]}, -(2.0**50)),
        ({"dtype": 14, "half_val": [0x3FC0]}, 1.5),  # bfloat16: the upper half of a float32
        ({"dtype": 19, "half_val": [0xC200]}, -3.0),
        ({"dtype": 10, "bool_val": [True]}, 1.0),
        ({"dtype": 23, "uint64_val": [7]}, 7.0),
        ({"dtype": 1, "float_val": [2.0], "tensor_shape": {"dim": [{"size": 1}]}}, 2.0),
    ],
)
def test_a_number_listed_in_a_tensor(
    tmp_path: Path, content: dict[str, Any], expected: float
) -> None:
    write(tmp_path, [summary(step, [tensor("x", content)]) for step in range(8)])
    assert points(read(tmp_path)) == {"x": [(step, 1.5, expected) for step in range(8)]}


def test_tensors_of_several_numbers_are_arrays(tmp_path: Path) -> None:
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = {"dtype": 1, "float_val": [4.0], "tensor_shape": {"dim": [{"size": 3}]}}
    write(
        tmp_path,
        [
            summary(1, [tensor("grid", fields(make_tensor_proto(grid)))]),
            summary(2, [tensor("same", same)]),
            summary(3, [tensor("curve", fields(make_tensor_proto(np.float32(2))), "pr_curves")]),
        ],
    )
    history = read(tmp_path)
    assert history.scalars == {}
    assert np.array_equal(history.arrays["grid"].items[0], grid)
    assert np.array_equal(history.arrays["same"].items[0], [4.0, 4.0, 4.0])
    assert history.arrays["curve"].items[0] == 2.0


def test_histograms_images_and_texts_in_tensors(tmp_path: Path) -> None:
    buckets = np.array([[-1, 0, 3], [0, 2, 5]], np.float32)
    none = np.zeros((0, 3), np.float32)
    pictures = {"dtype": 7, "string_val": [b"7", b"5", b"first", b"second"]}
    write(
        tmp_path,
        [
            summary(0, [tensor("w", fields(make_tensor_proto(buckets)), "histograms")]),
            summary(1, [tensor("w", fields(make_tensor_proto(none)), "histograms")]),
            summary(2, [tensor("w", fields(make_tensor_proto(buckets[:1])))]),  # told once
            summary(0, [tensor("p", pictures, "images")]),
            summary(0, [tensor("t", {"dtype": 7, "string_val": [b"one", b"two"]}, "text")]),
            summary(0, [tensor("model", {"dtype": 7, "string_val": [b"{}"]}, "graph_keras_model")]),
        ],
    )
    history = read(tmp_path)
    assert history.histograms["w"].steps.tolist() == [0, 2]
    assert history.histograms["w"].edges[0].tolist() == [-1, 0, 2]
    assert history.histograms["w"].counts[0].tolist() == [3, 5]
    assert history.images["p"].items == (b"first", b"second")
    assert history.images["p"].steps.tolist() == [0, 0]
    assert history.texts == {"t": history.texts["t"]}
    assert history.texts["t"].items == (b"one\ntwo",)
    assert history.notes == ()


def test_a_histogram_whose_outer_buckets_have_no_limit(tmp_path: Path) -> None:
    largest = float(np.finfo(np.float64).max)
    histogram = {
        "min": -2.0,
        "max": 5.0,
        "bucket_limit": [-largest, -1.0, 1.0, largest],
        "bucket": [0.0, 4.0, 0.0, 6.0],
    }
    write(tmp_path, [summary(0, [{"tag": "w", "histo": histogram}])])
    series = read(tmp_path).histograms["w"]
    assert series.edges[0].tolist() == [-2, -1, 1, 5]
    assert series.counts[0].tolist() == [4, 0, 6]


def test_fast_and_slow_reading_agree_on_any_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(3)
    records = []
    for _ in range(3000):
        step = rng.choice([0, rng.randrange(200), rng.randrange(2**40), -rng.randrange(9)])
        seconds = rng.choice([0.0, rng.random() * 1e9])
        values: list[dict[str, Any]] = []
        for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
            tag = rng.choice(["a", "b", "loss", "tag", "äö", ""])
            number = rng.choice([0.0, math.inf, rng.gauss(0, 1)])
            content = rng.choice(
                [
                    {"dtype": 1, "float_val": [number]},
                    {"dtype": 2, "double_val": [number]},
                    fields(make_tensor_proto(np.float64(number))),
                    fields(make_tensor_proto(np.int64(step))),
                ]
            )
            values.append(
                rng.choice(
                    [
                        {"tag": tag, "simple_value": number},
                        {"tag": tag, "simple_value": number},
                        {"tag": tag, "simple_value": number, "node_name": "old"},
                        tensor(f"tensor {tag}", content, rng.choice(["", "scalars"])),
                        tensor("text", {"dtype": 7, "string_val": [tag.encode()]}),
                    ]
                )
            )
        records.append(summary(step, values, seconds))
    write(tmp_path, records)
    fast = read(tmp_path)
    read_by_protobuf = summaries.Reader._event
    calls: list[int] = []

    def counted(self: summaries.Reader, payload: bytes, order: int) -> None:
        calls.append(order)
        read_by_protobuf(self, payload, order)

    monkeypatch.setattr(summaries.Reader, "_event", counted)
    read(tmp_path)
    by_columns = len(records) - len(calls)
    assert by_columns > 100
    monkeypatch.setattr(summaries, "_FEW", len(records))
    slow = read(tmp_path)
    assert len(calls) == len(records) - by_columns + len(records)
    assert points(fast) == points(slow)
    assert fast.texts["text"].items == slow.texts["text"].items
    assert sum(map(len, points(fast).values())) > 2000


def test_many_tags_of_one_length_are_read_by_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [f"layer {index:03}" for index in range(300)]
    write(tmp_path, [scalar(tag, step, step) for step in range(1, 20) for tag in tags])

    def never(*_: object) -> None:
        raise AssertionError("a record was read alone")

    monkeypatch.setattr(summaries.Reader, "_event", never)
    found = points(read(tmp_path))
    assert found == {tag: [(step, 1.5, float(step)) for step in range(1, 20)] for tag in tags}


def test_not_a_number_and_infinities_are_kept(tmp_path: Path) -> None:
    values = [1.0, math.nan, math.inf, -math.inf, -0.0, 2.0]
    write(tmp_path, [scalar("loss", step, value) for step, value in enumerate(values)])
    found = read(tmp_path).scalars["loss"].values
    assert np.array_equal(found, values, equal_nan=True)
    assert np.signbit(found[4])


def test_steps_out_of_order_are_sorted_and_equal_ones_stay_as_written(tmp_path: Path) -> None:
    steps = [5, 1000, 3, 5, 0, 1000, 3, 127, 128, -1]
    write(tmp_path, [scalar("loss", step, index) for index, step in enumerate(steps)])
    series = read(tmp_path).scalars["loss"]
    order = sorted(range(len(steps)), key=lambda index: steps[index])
    assert series.steps.tolist() == [steps[index] for index in order]
    assert series.values.tolist() == order


def test_several_files_of_a_run_are_one_history(tmp_path: Path) -> None:
    for part, steps in ((1, range(10)), (2, range(5, 15))):
        records = [scalar("loss", step, part) for step in steps]
        write(tmp_path, [VERSION, *records], f"{NAME}.{part}")
    write(tmp_path, [], f"{NAME}.3")
    write(tmp_path, [scalar("loss", 99, 3)], f"{NAME}.profile-empty")
    write(tmp_path / "other", [scalar("loss", 99, 3)])
    found = points(read(tmp_path))
    assert found == peer_points(tmp_path)
    assert [value for step, _, value in found["loss"] if step == 7] == [1, 2]


@pytest.mark.parametrize("at", [0, 1, 6, 20])
def test_what_was_written_before_resuming_is_dropped_from_that_step_on(
    tmp_path: Path, at: int
) -> None:
    text = {"dtype": 7, "string_val": [b"said"]}
    losses = [scalar("loss", step, 1) for step in range(10)]
    said = summary(9, [tensor("stage", text, "text")])
    write(tmp_path, [VERSION, *losses, said], f"{NAME}.1")
    write(tmp_path, [VERSION, start(at), *(scalar("loss", 6 + i, 2) for i in (0, 1))], f"{NAME}.2")
    history = read(tmp_path)
    assert points(history) == peer_points(tmp_path)
    kept = [(step, 1) for step in range(min(at, 10))]
    series = history.scalars["loss"]
    found = list(zip(series.steps.tolist(), series.values.tolist(), strict=True))
    assert sorted(found) == sorted([*kept, (6, 2), (7, 2)])
    assert ("stage" in history.texts) == (at > 9)


def test_resuming_within_a_file_several_times(tmp_path: Path) -> None:
    records = [VERSION]
    for part, at in enumerate((0, 30, 12, 25)):
        records.append(start(at))
        records.extend(scalar("loss", step, part) for step in range(at, at + 20))
    path = write(tmp_path, records)
    assert points(read(tmp_path)) == peer_points(tmp_path)
    grown = EventLog(tmp_path)
    for count in range(0, len(records) + 1, 7):
        path.write_bytes(b"".join(records[:count]))
        grown.reload()
        grown.history()
    path.write_bytes(b"".join(records))
    grown.reload()
    assert points(grown.history()) == peer_points(tmp_path)


def test_a_run_resumed_with_purge_step(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for part, (first, last) in enumerate(((0, 12), (8, 20))):
        suffix = f".{part}"
        with SummaryWriter(str(tmp_path), purge_step=first, filename_suffix=suffix) as writer:
            for step in range(first, last):
                writer.add_scalar("loss", part, step)
    for index, path in enumerate(sorted(tmp_path.iterdir(), key=lambda p: p.name[-1])):
        path.rename(tmp_path / f"{NAME}.{index}")  # both may be written within the same second
    found = points(read(tmp_path))
    assert found == peer_points(tmp_path)
    assert [value for _, _, value in found["loss"]] == [0] * 8 + [1] * 12


def test_runs_are_found_in_nested_folders(tmp_path: Path) -> None:
    for name in (".", "b", "a/deep/er", "a"):
        write(tmp_path / name, [scalar("loss", 0, 1)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    found = [run.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert found == [".", "a", "a/deep/er", "b"]
    with pytest.raises(BadInput, match="not a folder"):
        find_runs(tmp_path / "absent")


def test_a_log_may_be_one_file_or_nothing_yet(tmp_path: Path) -> None:
    path = write(tmp_path, [scalar("loss", 0, 1)])
    assert points(read(path)) == points(read(tmp_path))
    log = EventLog(tmp_path / "later")
    assert not log.reload()
    assert log.history().scalars == {}
    write(tmp_path / "later", [scalar("loss", 0, 1)])
    assert log.reload()
    assert list(log.history().scalars) == ["loss"]
