"""A run's folder: made once, read by anybody, written by one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from toy_trainables import toy

from core.errors import BadInput, StorageError
from core.training.config import Config
from core.training.run import Busy, Run, new_folder, runs

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def config() -> Config:
    return Config.of("toy", {"epochs": 4}, seed=3)


def test_what_was_asked_for_comes_back(tmp_path: Path, config: Config) -> None:
    made = Run.create(tmp_path / "a", config, extra="kept")
    found = Run.open(tmp_path / "a")
    assert found.config == config
    assert found.about["extra"] == "kept"
    assert found.about["versions"]["torch"]
    assert (found.name, found.status.state, found.status.epochs) == ("a", "new", 4)
    assert made == found


def test_the_status_is_replaced_as_a_whole(tmp_path: Path, config: Config) -> None:
    run = Run.create(tmp_path / "a", config)
    run.update(state="running", step=7, best=0.5)
    run.update(epoch=2)
    status = Run.open(run.folder).status
    assert (status.state, status.step, status.best, status.epoch) == ("running", 7, 0.5, 2)
    assert status.updated > 0
    assert not list(run.folder.glob("*.tmp"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"state": "flying"}',
        '{"epoch": {}, "x": 1}',
        '{"state": "done", "seconds": "long"}',
        '{"state": "done", "best": [1]}',
        '{"state": "done", "message": 5}',
        '{"state": 7}',
        '{"step": true}',
    ],
)
def test_a_damaged_status_is_a_failed_run_or_a_known_state(
    tmp_path: Path, config: Config, text: str
) -> None:
    run = Run.create(tmp_path / "a", config)
    (run.folder / "status.json").write_text(text)
    assert run.status.state in ("failed", "new")
    assert run.update(state="stopped").state == "stopped"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"recipe": "toy", "settings": {"epochs": "many"}, "data": ""}']
)
def test_a_damaged_config_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadInput) as caught:
        Run.open(tmp_path)
    assert tmp_path.name in str(caught.value)


def test_a_run_of_an_unknown_recipe_is_refused_in_words(tmp_path: Path, config: Config) -> None:
    run = Run.create(tmp_path / "a", config)
    about = json.loads((run.folder / "config.json").read_text())
    (run.folder / "config.json").write_text(json.dumps({**about, "recipe": "toyy"}))
    with pytest.raises(BadInput, match="no recipe 'toyy'"):
        Run.open(run.folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a run"):
        Run.open(tmp_path)
    with pytest.raises(BadInput, match="not a run"):
        Run.open(tmp_path / "nowhere")


def test_nothing_is_written_over(tmp_path: Path, config: Config) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(BadInput, match="not empty"):
        Run.create(tmp_path, config)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be used"):
        Run.create(tmp_path / "file" / "below", config)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_names_are_not_given_twice(tmp_path: Path, config: Config) -> None:
    names = []
    for _ in range(3):
        names.append(new_folder(tmp_path, config))
        names[-1].mkdir()
    assert len(set(names)) == 3
    assert all(path.name.startswith("toy-") for path in names)


def test_runs_are_found_below_a_folder_newest_first(tmp_path: Path, config: Config) -> None:
    for name, created in (("a", "2026-01-01"), ("deep/er/b", "2026-01-03"), ("c", "2026-01-02")):
        Run.create(tmp_path / name, config, created=created)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    inside = tmp_path / "a" / "checkpoints" / "x"
    inside.mkdir(parents=True)
    (inside / "config.json").write_text((tmp_path / "a" / "config.json").read_text())
    assert [run.name for run in runs(tmp_path)] == ["b", "c", "a"]
    assert runs(tmp_path / "nowhere") == ()


def test_a_second_process_is_refused(tmp_path: Path, config: Config) -> None:
    run = Run.create(tmp_path / "a", config)
    assert not run.alive
    held, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with run.exclusively():
            os.write(held[1], b"!")
            os.read(done[0], 1)
        os._exit(0)
    os.read(held[0], 1)
    assert run.alive
    run.update(state="running", pid=child)
    with pytest.raises(Busy, match=str(child)), run.exclusively():
        pytest.fail("both hold the lock")
    assert run.state == "running"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not run.alive
    assert run.state == "died"
    with run.exclusively():
        assert run.alive
    for handle in (*held, *done):
        os.close(handle)
