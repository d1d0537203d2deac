"""``fluoroscope train | runs | jobs``: real trainings of the smallest recipe, as a person types."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_command_line import run
from test_jobs import eventually

from core.engine.job import Job, job, jobs
from core.results import History, Series
from core.training.config import Config
from core.training.events import EventLog
from core.training.recipe import recipes
from core.training.run import Busy, Run
from core.workspace import Workspace
from dashboard.commands.watching import epoch_line

# 100 updates in each epoch, so that there is time to stop it.
SLOW = ("two_features", "--set", "activation=tanh", "--set", "batch_size=1", "--set", "lr=0.1")
COMMAND = (sys.executable, "-m", "dashboard.cli")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "workspace"))
    place = Workspace(tmp_path / "workspace")
    yield place
    for each in jobs(place):  # what a failed test left running
        each.cancel()
    for each in jobs(place):
        each.wait()


def the_run(place: Workspace) -> Run:
    (folder,) = place.runs.iterdir()
    return Run.open(folder)


def measured_epochs(folder: Path) -> list[float]:
    log = EventLog(folder)
    log.reload()
    return list(log.history().scalars["epoch"].values)


def detached(capsys: pytest.CaptureFixture[str], place: Workspace, *arguments: object) -> Job:
    status, output, errors = run(capsys, "train", *arguments, "--detach")
    number = output.strip()
    assert status == 0
    assert f"Job {number} trains run:" in errors
    return job(place, number)


def trains(one: Job, made: Run) -> None:
    """Until the first epoch is over."""
    eventually(lambda: (made.status.epoch > 0 and one.progress.done > 0) or not one.alive)
    assert one.state == "running", one.log()


def test_train_from_start_to_end(capsys: pytest.CaptureFixture[str], place: Workspace) -> None:
    behind = ("activation=tanh", "epochs=3", "hidden=3", "--set", "lr=0.5")
    status, output, errors = run(capsys, "train", "two_features", *behind, "--seed", 5)
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    number = r"-?\d+\.\d{4}"
    for epoch, line in enumerate(lines[:3], 1):
        assert re.fullmatch(
            rf"epoch {epoch}/3  loss {number}  accuracy {number}  val_loss {number}  "
            rf"val_accuracy {number}  \d+\.\d s",
            line,
        )
    made = the_run(place)
    assert f"run:{made.name}" in lines
    assert (made.state, made.config.epochs, made.config.seed) == ("done", 3, 5)
    settings = made.config.settings
    assert [settings[name] for name in ("activation", "epochs", "hidden", "lr")] == [
        "tanh", 3, 3, 0.5,
    ]  # fmt: skip
    metrics = json.loads((made.folder / "card.json").read_text())["metrics"]
    shown = {line.split()[0]: line.split()[1] for line in lines if len(line.split()) == 2}
    assert shown["accuracy"] == f"{metrics['accuracy']:.4f}"
    assert sum(line.startswith(("upper moon", "lower moon")) for line in lines) == 2

    _, text, _ = run(capsys, "runs", "--json")
    (row,) = json.loads(text)
    assert (row["name"], row["state"], row["epoch"], row["epochs"]) == (made.name, "done", 3, 3)
    assert row["best_loss"] == made.status.best
    assert row["accuracy"] == metrics["accuracy"]
    assert made.name in run(capsys, "runs")[1]
    _, text, _ = run(capsys, "jobs", "--json")
    (row,) = json.loads(text)
    assert (row["id"], row["verb"], row["state"], row["fraction"]) == ("1", "train", "done", 1.0)
    assert run(capsys, "jobs")[1].splitlines()[1].startswith("1   train  done")
    assert run(capsys, "jobs", "list")[1] == run(capsys, "jobs")[1]

    status, output, _ = run(capsys, "train", "--resume", made.name)
    assert status == 0
    assert "is done already" in output
    assert len(jobs(place)) == 1


def test_a_sweep_is_one_command(
    capsys: pytest.CaptureFixture[str], place: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    status, output, errors = run(capsys, "train", "two_features", "--epochs", 2, "--out", out)
    assert (status, errors) == (0, "")
    values = ("sigmoid", "relu", "tanh")
    names = [f"two_features-activation={value}" for value in values]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    found = [Run.open(out / name) for name in names]
    assert [each.config.settings["activation"] for each in found] == list(values)
    assert {each.state for each in found} == {"done"}
    table = output.split("\n\n")[-1].splitlines()
    assert table[0].split()[:3] == ["run", "state", "best_epoch"]
    assert [line.split()[:2] for line in table[1:]] == [[name, "done"] for name in names]


def test_what_was_left_out_of_the_data_is_said(
    capsys: pytest.CaptureFixture[str], place: Workspace, tmp_path: Path
) -> None:
    rows = [f"{x},{x * x % 7},{'ab'[x % 2]}" for x in range(200)]
    rows[3], rows[8], rows[9] = "3,inf,b", "8,1,", "9"
    (tmp_path / "t.csv").write_text("\n".join(["x,y,label", *rows]))
    arguments = ("tabular_mlp", "epochs=1", "--data", tmp_path / "t.csv")
    status, output, errors = run(capsys, "train", *arguments)
    assert status == 0
    assert "data: 1 row without a label skipped" in errors
    assert "data: column 'y': 1 value that no finite number is taken as missing" in errors
    assert "data: t.csv" in errors
    assert "accuracy" in output
    (the_run(place).folder / "card.json").write_text('{"metrics": {"n": null, "per_class": 5}}')
    assert run(capsys, "train", "--resume", the_run(place).folder)[0] == 0
    assert run(capsys, "runs")[0] == 0


def test_ctrl_c_stops_and_resume_goes_on(
    capsys: pytest.CaptureFixture[str], place: Workspace
) -> None:
    command = [*COMMAND, "train", *SLOW, "--epochs", "40"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who starts these tests in the background has them ignore it, and that is passed on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as person:
        assert person.stdout is not None
        assert person.stdout.readline().startswith("epoch  1/40")
        person.send_signal(signal.SIGINT)
        _, errors = person.communicate()
    made = the_run(place)
    name = f"run:{made.name}"
    assert person.returncode == 130
    first, second = errors.splitlines()
    assert first == "Stopping at the next step …"
    assert f"after step {made.status.step}. Go on with: fluoroscope train --resume {name}" in second
    assert made.state == "stopped"
    assert 0 < made.status.epoch < 40
    stopped = made.status
    status, output, errors = run(capsys, "train", "--resume", name)
    assert (status, errors) == (0, "")
    assert output.startswith(f"epoch {stopped.epoch + 1:>2}/40")
    assert made.state == "done"
    assert made.status.seconds > stopped.seconds
    assert measured_epochs(made.folder) == list(range(1, 41))


def test_a_run_in_the_background(capsys: pytest.CaptureFixture[str], place: Workspace) -> None:
    one = detached(capsys, place, *SLOW, "--epochs", 100_000)
    made = Run.open(Path(one.parameters["run"]))
    other = detached(capsys, place, *SLOW, "--epochs", 2)
    status, output, errors = run(capsys, "train", "--resume", made.name)
    assert (status, output) == (2, "")
    assert f"Job {one.id} trains the run '{made.name}' already" in errors
    trains(one, made)
    _, text, _ = run(capsys, "jobs", "--json")
    later, sooner = json.loads(text)
    assert (sooner["state"], later["state"]) == ("running", "waiting")
    assert later["note"] == f"Waiting for job {one.id}"
    assert 0 < sooner["fraction"] < 1
    assert sooner["remaining"] > 0
    assert made.state == "running"
    status, output, _ = run(capsys, "jobs", "cancel", one.id)
    assert (status, output) == (0, f"Job {one.id} is told to stop.\n")
    assert one.wait() == "cancelled"
    assert made.state == "stopped"
    assert other.wait() == "done"  # its turn had come
    status, _, errors = run(capsys, "jobs", "cancel", one.id)
    assert status == 2
    assert "it is cancelled" in errors
    status, output, errors = run(capsys, "jobs", "logs", other.id)
    assert (status, errors) == (0, "")
    assert f"Job {other.id} is over: done" in output


def test_a_worker_that_dies(capsys: pytest.CaptureFixture[str], place: Workspace) -> None:
    one = detached(capsys, place, *SLOW, "--epochs", 10)
    made = Run.open(Path(one.parameters["run"]))
    trains(one, made)
    os.kill(one.status.pid, signal.SIGKILL)
    assert one.wait() == "died"
    eventually(lambda: made.state == "died")  # the system lets go of one lock after the other
    _, text, _ = run(capsys, "runs", "--json")
    assert json.loads(text)[0]["state"] == "died"
    status, output, errors = run(capsys, "jobs", "logs", one.id)
    assert status == 0
    assert "train" in output
    assert f"Job {one.id} died: Its process ended without a word." in errors
    status, output, errors = run(capsys, "train", "two_features", "--resume", made.folder)
    assert (status, errors) == (0, "")
    assert made.state == "done"
    assert measured_epochs(made.folder) == list(range(1, 11))


def test_a_bar_on_a_terminal(place: Workspace) -> None:
    keeper, terminal = pty.openpty()
    command = [*COMMAND, "train", *SLOW, "--epochs", "3"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as person:
        os.close(terminal)
        shown = b""
        while piece := _read(keeper):
            shown += piece
    os.close(keeper)
    assert person.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "epoch 3/3  loss" in text
    assert re.search(r"two_features-\S+ .*━.* +\d+ %", text)


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:  # nobody writes to the terminal any more
        return b""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "No recipe is named"),
        (["two_featurs"], "Did you mean 'two_features'"),
        (["two_features", "--set", "lr=fast"], "'lr' is 'fast', expected a number"),
        (["two_features", "--set", "rate=1"], "no parameter of the recipe two_features 'rate'"),
        (["two_features", "--set", "lr"], "is not a setting"),
        (["two_features", "--set", "activation=gelu"], "one of sigmoid, relu, tanh"),
        (["two_features", "--epochs", "0"], "'epochs' is '0', expected a whole number from 1"),
        (["two_features", "--epochs", "3", "--set", "epochs=4"], "Leave one of the two out"),
        (["two_features", "--device", "quantum"], "is not a device"),
        (["two_features", "--data", "nowhere.csv"], "There is nothing at 'nowhere.csv'"),
        (["two_features", "--data", "~nosuchuser/x.csv"], "cannot be looked at"),
        (["two_features", "--data", "x" * 300], "File name too long"),
        (["two_features", "lr=fast"], "'lr' is 'fast', expected a number"),
        (["two_features", "hidden"], "is not a setting"),
        (["--resume", "~nosuchuser"], "'~nosuchuser' cannot be looked at"),
        (["--resume", "x" * 300], "File name too long"),
        (["two_features", "lr=1", "--resume", "x"], "--set is given together with --resume"),
        (["--resume", "nowhere"], "There is no run 'nowhere'"),
        (["--resume", ""], "There is no run ''"),
        (["--resume", "run:x", "--set", "lr=1"], "--set is given together with --resume"),
        (["--resume", "x", "--seed", "0"], "--seed is given together with --resume"),
        (["--resume", str(Path(__file__).parent)], "is not a run"),
        (["--resume", __file__], "is not a run"),
    ],
)
def test_a_mistake_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], place: Workspace, arguments: list[str], word: str
) -> None:
    status, output, errors = run(capsys, "train", *arguments)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert word in errors
    assert not place.root.exists()


def test_a_folder_that_is_taken(
    capsys: pytest.CaptureFixture[str], place: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    arguments = ("train", "two_features", "--set", "activation=tanh", "--out", tmp_path / "mine")
    status, output, errors = run(capsys, *arguments)
    assert (status, output) == (2, "")
    assert "is not empty. Choose another with --out" in errors
    assert jobs(place) == ()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_data_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], place: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").write_text("")
    status, output, errors = run(capsys, "train", "tabular_mlp", "--data", tmp_path / "empty.csv")
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert "empty.csv" in errors
    assert the_run(place).state == "failed"


def test_a_wrong_recipe_for_a_run(capsys: pytest.CaptureFixture[str], place: Workspace) -> None:
    Run.create(place.runs / "one", Config.of("tabular_mlp"))
    status, _, errors = run(capsys, "train", "two_features", "--resume", "one")
    assert status == 2
    assert "'one' is a run of tabular_mlp, not of two_features" in errors


def test_a_reader_who_just_looks_is_no_reason_to_refuse(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Run.create(place.runs / "one", Config.of("two_features"))
    with (made.folder / "lock").open("wb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert made.alive is False  # two readers do not see each other
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(reader, fcntl.LOCK_UN))
        with made.exclusively():
            assert made.alive
        fcntl.flock(reader, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with pytest.raises(Busy, match="'one' is being trained by another process"):
            made.exclusively().__enter__()


def test_nothing_there_yet(capsys: pytest.CaptureFixture[str], place: Workspace) -> None:
    assert "There are no runs yet" in run(capsys, "runs")[1]
    assert "There are no jobs yet" in run(capsys, "jobs")[1]
    assert json.loads(run(capsys, "runs", "--json")[1]) == []
    assert json.loads(run(capsys, "jobs", "--json")[1]) == []
    for verb in ("cancel", "logs"):
        status, _, errors = run(capsys, "jobs", verb, "7")
        assert status == 2
        assert "There is no job '7'" in errors
    assert not place.root.exists()


def test_list_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    status, text, _ = run(capsys, "list", "recipes", "--json")
    rows = json.loads(text)
    assert status == 0
    assert [row["name"] for row in rows] == list(recipes())
    declared = next(row for row in rows if row["name"] == "two_features")
    assert declared["sweep"] == {"activation": ["sigmoid", "relu", "tanh"]}
    assert declared["parameters"]["lr"] == recipes()["two_features"].defaults["lr"]
    table = run(capsys, "list", "recipes")[1].splitlines()
    assert len(table) == len(rows) + 1


def history(**scalars: list[float]) -> History:
    """Series by tag with ``__`` for the stroke, their points at steps 10, 20 …"""
    made = {}
    for name, values in scalars.items():
        steps = 10 * np.arange(1, len(values) + 1)
        made[name.replace("__", "/")] = Series(steps, np.array(values), np.zeros(len(values)))
    return History("h", made)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "epoch  2/10  loss 0.5000  3.5 s"),
        (
            {"val__loss": [1.0, math.nan], "val__bleu": [0.0, 12.5], "val__f1_macro": [0.0, 1.0]},
            "epoch  2/10  loss 0.5000  val_loss nan  val_bleu 12.5000  3.5 s",
        ),
        (
            {"train__accuracy": [0.1, 0.25], "val__f1__ant": [0.0, 1.0]},
            "epoch  2/10  loss 0.5000  accuracy 0.2500  3.5 s",
        ),
    ],
)
def test_the_line_of_an_epoch(more: dict[str, Any], expected: str) -> None:
    told = history(epoch=[1, 2], seconds=[2.0, 5.5], train__loss=[1.0, 0.5], **more)
    assert epoch_line(told, 20, 2, 10) == expected


def test_saying_no_needs_no_torch(place: Workspace) -> None:
    code = (
        "import sys; from dashboard import cli\n"
        "sys.argv = ['fluoroscope', 'train', 'two_features', '--set', 'lr=fast']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert ended.code == 2\n"
        "heavy = {'torch', 'captum', 'transformers', 'streamlit', 'plotly', 'lightning_fabric'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
