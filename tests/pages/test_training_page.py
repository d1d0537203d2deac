"""The Training page in Streamlit's own test runner: sample runs, a run of one's own, and logs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.engine.job import jobs
from core.training.config import Config
from core.training.eventfile import EventWriter
from core.training.run import Run
from core.workspace import Workspace
from dashboard.runs import shown_runs
from tests.pages.driving import opened, words

PAGE = "views/training.py"


def titles(app: AppTest) -> list[str]:
    specs = (json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
    return [spec["layout"].get("title", {}).get("text", "") for spec in specs]


def test_the_page_is_full_on_first_start() -> None:
    app = opened(PAGE)
    assert app.title[0].value == "Training"
    assert any("Loss" in title for title in titles(app))
    assert any("Gradient norm of each layer" in title for title in titles(app))
    assert "done" in words(app)


@pytest.mark.parametrize(
    "some",
    [("two_features", "text_rnn", "masked_pretraining"), pytest.param((), marks=pytest.mark.slow)],
)
def test_every_sample_run_can_be_watched(place: Workspace, some: tuple[str, ...]) -> None:
    samples = {
        name: shown
        for name, shown in shown_runs(place).items()
        if not some or shown.run.config.recipe in some
    }
    assert {shown.run.config.recipe for shown in samples.values()} >= set(some)
    for name in samples:
        app = opened(PAGE, runs=name)
        assert len(titles(app)) >= 3
        assert samples[name].recipe.title in words(app)


def test_runs_are_compared_with_a_table() -> None:
    app = opened(PAGE, tab="compare", runs="two_features,tabular_mlp")
    table = app.dataframe[0].value
    assert list(table["Run"]) == ["two_features (sample)", "tabular_mlp (sample)"]
    assert np.isfinite(table["loss"]).all()
    assert np.allclose(table["gap"], table["loss"] - table["train loss"])


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ({"runs": "no-such-run"}, "There is no run"),
        ({"tab": "logs"}, "Name a log directory"),
        ({"tab": "logs", "logs": "/no/such/folder"}, "not a folder"),
        ({"tab": "compare", "metric": "<script>", "by": "x", "smoothing": "9" * 400}, ""),
        ({"tab": "sideways", "across": "up", "epoch": "many"}, "done"),
        ({"tab": "start", "recipe": "none"}, "Nothing trains"),
    ],
)
def test_a_senseless_address_gets_a_sentence(query: dict[str, str], notice: str) -> None:
    app = opened(PAGE, **query)
    assert notice in words(app).replace("\\", "")


def test_a_run_is_started_and_watched(place: Workspace) -> None:
    app = opened(PAGE, tab="start", recipe="two_features")
    app.number_input(key="start:two_features:epochs").set_value(5)
    app.button(key="go").click().run()
    assert not app.exception
    (job,) = [each for each in jobs(place) if each.verb == "train"]
    assert job.wait() == "done", job.log_tail()
    run = Run.open(Path(job.parameters["run"]))
    assert run.config.epochs == 5
    assert run.status.state == "done"
    assert run.name in app.query_params["runs"]
    app.run()
    assert "epoch 5 of 5" in words(app)


@pytest.mark.parametrize("value", ["nan", "much", "-1"])
def test_a_senseless_setting_gets_a_sentence_and_starts_nothing(
    place: Workspace, value: str
) -> None:
    before = len(jobs(place))
    app = opened(PAGE, tab="start", recipe="two_features")
    app.text_input(key="start:two_features:lr").set_value(value).run()
    app.button(key="go").click().run()
    assert "lr" in words(app)
    assert len(jobs(place)) == before


def test_a_sweep_is_started_as_a_whole(place: Workspace) -> None:
    app = opened(PAGE, tab="start", recipe="two_features")
    app.number_input(key="start:two_features:epochs").set_value(2)
    toggle = app.toggle(key="sweep:two_features")
    assert toggle.label.endswith("3 runs: activation sigmoid, relu, tanh")
    toggle.set_value(True).run()
    before = {each.id for each in jobs(place)}
    app.button(key="go").click().run()
    assert not app.exception
    new = [each for each in jobs(place) if each.id not in before]
    assert [each.wait() for each in new] == ["done"] * 3
    found = [Run.open(Path(each.parameters["run"])).config for each in new]
    assert {each.settings["activation"] for each in found} == {"sigmoid", "relu", "tanh"}
    app.run()
    assert len(app.dataframe[0].value) == 3  # on Compare


def test_a_run_that_died_shows_the_last_words_of_its_process(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(place.runs / "gone", Config.of("two_features", {"epochs": 3}))
    run.update(state="running", pid=1)
    job = SimpleNamespace(
        verb="train",
        parameters={"run": str(run.folder)},
        state="died",
        log_tail=lambda: "Bus error <b>",
    )
    monkeypatch.setattr("dashboard.runs.jobs", lambda _: (job,))
    app = opened(PAGE, runs="gone")
    assert "ended without a word" in words(app)
    assert any(each.value == "Bus error <b>" for each in app.text)


def test_an_edited_status_does_not_spoil_the_page(place: Workspace) -> None:
    run = Run.create(place.runs / "edited", Config.of("two_features", {"epochs": 3}))
    (run.folder / "status.json").write_text('{"state": "done", "best": "low", "epoch": null}')
    assert "failed" in words(opened(PAGE, runs="edited"))


def test_the_time_machine_says_when_it_shows_another_run() -> None:
    app = opened(PAGE, tab="machine", runs="translator,digits_cnn")
    assert "has kept no epochs" in words(app)
    drawn = titles(opened(PAGE, tab="machine", runs="digits_cnn"))
    assert any("Gradient norm" in title for title in drawn)
    assert any("Update ÷ weight" in title for title in drawn)
    assert any("Dead" in title for title in drawn)


def test_a_sweep_is_coloured_by_what_it_is_over() -> None:
    sweep = [f"digits_regularised/dropout={x}-weight_decay=0.0" for x in ("0.0", "0.25", "0.5")]
    sweep += [f"digits_regularised/dropout={x}-weight_decay=0.001" for x in ("0.0", "0.5")]
    app = opened(PAGE, tab="compare", runs=",".join(sweep))
    assert app.selectbox(key="bound:by").value == "dropout"


def test_a_stopped_run_offers_to_resume(place: Workspace) -> None:
    run = Run.create(place.runs / "cut-off", Config.of("two_features", {"epochs": 3}))
    run.update(state="stopped", message="Stopped; it can be resumed.")
    app = opened(PAGE, runs="cut-off")
    assert "stopped" in words(app)
    app.button(key="resume:cut-off").click().run()
    (job,) = [each for each in jobs(place) if each.parameters.get("run") == str(run.folder)]
    assert job.wait() == "done", job.log_tail()
    assert Run.open(run.folder).status.epoch == 3


def events(folder: Path, tag: str, values: list[float]) -> Path:
    with EventWriter(folder) as writer:
        for step, value in enumerate(values):
            writer.scalars(step, {tag: value})
        writer.text(0, "note", "<b>hello</b>")
    return writer.path


def test_logs_of_other_tools_open_by_path(tmp_path: Path) -> None:
    events(tmp_path / "a", "loss/strange", [3.0, 2.0, float("nan"), 1.0])
    events(tmp_path / "b", "loss/strange", [4.0, 2.0])
    app = opened(PAGE, tab="logs", logs=str(tmp_path))
    assert "2 runs" in words(app)
    assert any("1 values are not numbers" in title for title in titles(app))


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def flipped() -> bytes:
    """An archive whose compressed bytes are damaged."""
    packed = bytearray(archive({"events.out.tfevents.1": bytes(range(256)) * 40}))
    packed[60:70] = b"\xff" * 10
    return bytes(packed)


def uploaded(app: AppTest, name: str, data: bytes) -> AppTest:
    uploader = next(each for each in app.file_uploader if "event" in each.label.lower())
    uploader.set_value((name, data, "application/octet-stream")).run()
    assert not app.exception
    return app


def test_logs_open_by_upload(tmp_path: Path) -> None:
    path = events(tmp_path, "accuracy", [0.1, 0.9])
    app = uploaded(opened(PAGE, tab="logs"), path.name, path.read_bytes())
    assert any("Accuracy" in title for title in titles(app))
    packed = archive({f"x/run{i}/{path.name}": path.read_bytes() for i in range(2)})
    app = uploaded(opened(PAGE, tab="logs"), "logs.zip", packed)
    assert "2 runs" in words(app)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("notes.txt", lambda: b"hello", "neither an event file nor a zip"),
        ("logs.zip", lambda: archive({"readme.txt": b"x"}), "holds no event files"),
        ("dirs.zip", lambda: archive({"tfevents/": b""}), "holds no event files"),
        ("flipped.zip", lambda: flipped(), "cannot be unpacked"),
        (
            "many.zip",
            lambda: archive({f"{i}/events.out.tfevents.1": b"" for i in range(2_001)}),
            "at most 2,000",
        ),
        ("up.zip", lambda: archive({"../events.out.tfevents.1": b"x"}), "leads out of it"),
        (
            "bomb.zip",
            lambda: archive({"events.out.tfevents.1": bytes(8_000_000)}),
            "when unpacked",
        ),
    ],
)
def test_a_hostile_upload_gets_a_sentence(name: str, make: Any, sentence: str) -> None:
    app = uploaded(opened(PAGE, tab="logs"), name, make())
    assert sentence in words(app).replace("\\", "")


def summary_writer(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(5):
            writer.add_scalar("loss/train", 1 / (step + 1), step)
        writer.add_histogram("weights", np.arange(50.0), 4)


def lightning(folder: Path) -> None:
    from lightning_fabric.loggers import TensorBoardLogger

    logger = TensorBoardLogger(str(folder), name="lightning_logs")
    for step in range(5):
        logger.log_metrics({"loss/train": 1 / (step + 1)}, step)
    logger.finalize("success")


def keras(folder: Path) -> None:
    """As Keras' callback writes: a number as a tensor with the plugin 'scalars'."""
    import eventlogs

    value = {"dtype": 1, "float_val": [0.5], "tensor_shape": {}}
    events = [
        eventlogs.summary(step, [eventlogs.tensor("loss/train", value, "scalars")])
        for step in range(5)
    ]
    eventlogs.write(folder / "train", events)


@pytest.mark.parametrize("writes", [summary_writer, lightning, keras])
def test_a_log_directory_of_each_kind_opens(tmp_path: Path, writes: Any) -> None:
    writes(tmp_path)
    app = opened(PAGE, tab="logs", logs=str(tmp_path))
    assert "1 run ·" in words(app)
    (chart, *_) = [json.loads(each.proto.spec) for each in app.get("plotly_chart")]
    assert "Loss/train" in chart["layout"]["title"]["text"]
    assert not list(app.warning)
