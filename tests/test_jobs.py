"""Jobs: their line, how they end, and what outlives whom. Nothing here waits for a clock."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import job_verbs
import pytest
from engine_verbs import Gate

from core.engine import job as jobs_module
from core.engine.job import Job, JobStatus, job, jobs, line, submit
from core.errors import BadInput, EngineError, StorageError, UnknownName
from core.progress import Progress
from core.workspace import Workspace

TESTS = Path(job_verbs.__file__).parent
Submit = Callable[..., Job]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def ask(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Submit]:
    """Submit a toy job; whatever is still running in the end is ended."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))

    def ask(verb: str, device: str = "cpu", **parameters: Any) -> Job:
        return submit(place, verb, parameters, device, worker="job_verbs")

    yield ask
    for each in reversed(jobs(place)):
        each.cancel()
    for each in jobs(place):
        each.wait()


@pytest.fixture
def gates() -> Iterator[Callable[[], Gate]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Gate())


def eventually(condition: Callable[[], bool]) -> None:
    """Until a process has written what it is about to write."""
    ticks, deadline = selectors.DefaultSelector(), time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        ticks.select(0.02)


def test_a_job_is_done(ask: Submit, place: Workspace) -> None:
    made = ask("double", number=21)
    assert made.wait() == "done"
    assert made.result == {"value": 42, "heavy": []}
    assert (made.progress.done, made.progress.total, made.progress.note) == (4, 4, "Doubling")
    assert made.message == ""
    assert "doubled" in made.log_tail().splitlines()
    assert made.verb == "double"
    assert made.parameters == {"number": 21}
    assert made.device == "cpu"
    assert job(place, "1") == made == Job.open(made.folder)
    with pytest.raises(UnknownName, match="no job '7'"):
        job(place, "7")


def test_progress_is_told_while_it_runs(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    made = ask("march", port=gate.port)
    pid = gate.arrived()
    eventually(lambda: made.progress.done == 250)
    assert made.state == "running"
    assert made.progress.fraction == 0.25
    remaining = made.progress.remaining
    assert remaining == pytest.approx(3 * made.progress.seconds)
    assert made.status.pid == pid
    assert os.getsid(pid) == pid  # so that no terminal takes it along
    assert os.getsid(pid) != os.getsid(0)


def test_one_per_device_in_order_of_submission(
    ask: Submit, gates: Callable[[], Gate], tmp_path: Path, place: Workspace
) -> None:
    first, other = gates(), gates()
    book = tmp_path / "book"
    standing = ask("stand", port=first.port)
    first.arrived()
    waiting = [ask("sign", file=str(book)) for _ in range(3)]
    elsewhere = ask("stand", "mps", port=other.port)
    other.arrived()  # another device does not wait
    eventually(lambda: waiting[0].progress.note == f"Waiting for job {standing.id}")
    assert [each.state for each in waiting] == ["waiting"] * 3
    assert not book.exists()
    assert [each.id for each in jobs(place)] == ["5", "4", "3", "2", "1"]
    first.open()
    assert [each.wait() for each in waiting] == ["done"] * 3
    assert book.read_text().split() == [
        word for number in "234" for word in ("begin", number, "end", number)
    ]
    other.open()
    assert elsewhere.wait() == standing.state == "done"


def test_several_processes_submit_at_once(ask: Submit, place: Workspace, tmp_path: Path) -> None:
    book = tmp_path / "book"
    code = (
        "import sys, pathlib; from core.engine.job import submit; "
        "from core.workspace import Workspace\n"
        "sys.stdin.read()\n"  # a pipe: all begin when its writer is closed
        "for _ in range(3): submit(Workspace(pathlib.Path(sys.argv[1])), 'sign', "
        "{'file': sys.argv[2]}, 'cpu', worker='job_verbs')"
    )
    command = [sys.executable, "-c", code, str(place.root), str(book)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent)))}
    reader, writer = os.pipe()
    people = [subprocess.Popen(command, stdin=reader, env=environment) for _ in range(3)]
    os.close(reader)
    os.close(writer)
    assert [person.wait() for person in people] == [0, 0, 0]
    found = sorted(jobs(place), key=lambda each: int(each.id))
    assert [each.id for each in found] == [str(number) for number in range(1, 10)]
    assert {each.wait() for each in found} == {"done"}
    expected = [f"{word} {number}" for number in range(1, 10) for word in ("begin", "end")]
    assert book.read_text().splitlines() == expected


def test_a_killed_worker_is_reported_and_the_next_one_goes_on(
    ask: Submit, gates: Callable[[], Gate], tmp_path: Path
) -> None:
    gate = gates()
    standing = ask("stand", port=gate.port)
    pid = gate.arrived()
    following = ask("sign", file=str(tmp_path / "book"))
    os.kill(pid, signal.SIGKILL)
    assert standing.wait() == "died"
    assert "ended without a word" in standing.message
    assert "Its log ends" in standing.message
    assert following.wait() == "done"


def test_a_worker_killed_while_it_waits(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    ask("stand", port=gate.port)
    gate.arrived()
    waiting, last = ask("double", number=1), ask("double", number=2)
    eventually(lambda: waiting.status.pid > 0)
    os.kill(waiting.status.pid, signal.SIGKILL)
    assert waiting.wait() == "died"
    gate.open()
    assert last.wait() == "done"
    assert waiting.state == "died"


def test_cancel_between_two_ticks(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    made = ask("march", port=gate.port)
    gate.arrived()
    gate.open()
    made.cancel()
    assert made.wait() == "cancelled"
    assert made.progress.done == 250


def test_cancel_before_the_first_tick(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    made = ask("stand", port=gate.port)
    gate.arrived()
    made.cancel()  # nobody opens the gate
    assert made.wait() == "cancelled"
    assert gate.gone()


def test_cancel_while_it_waits(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    standing = ask("stand", port=gate.port)
    gate.arrived()
    waiting, last = ask("stand", port=gate.port), ask("double", number=1)
    waiting.cancel()
    assert waiting.wait() == "cancelled"
    assert (standing.state, last.state) == ("running", "waiting")
    gate.open()
    assert last.wait() == "done"


def test_the_system_ends_it(ask: Submit, gates: Callable[[], Gate]) -> None:
    gate = gates()
    made = ask("stand", port=gate.port)
    os.kill(gate.arrived(), signal.SIGTERM)
    assert made.wait() == "cancelled"


def test_it_outlives_whoever_submitted_it(
    ask: Submit, place: Workspace, gates: Callable[[], Gate]
) -> None:
    gate = gates()
    code = (
        "import sys, os, pathlib, signal; from core.engine.job import submit; "
        "from core.workspace import Workspace\n"
        "submit(Workspace(pathlib.Path(sys.argv[1])), 'stand', {'port': int(sys.argv[2])}, "
        "'cpu', worker='job_verbs')\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(place.root), str(gate.port)]
    path = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    person = subprocess.Popen(
        command, start_new_session=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert person.wait() == -signal.SIGKILL
    gate.arrived()
    (made,) = jobs(place)
    assert made.alive
    gate.open()
    assert made.wait() == "done"


def test_a_process_that_it_forked_off_does_not_keep_it_alive(
    ask: Submit, gates: Callable[[], Gate]
) -> None:
    gate = gates()
    made = ask("fork", port=gate.port)
    gate.arrived()
    assert made.wait() == "done"  # although the other still stands there
    gate.open()


def test_a_mistake_of_the_person(ask: Submit) -> None:
    made = ask("refuse")
    assert made.wait() == "failed"
    assert made.message == "The table has no column 'label'. Name it with --set label=…."
    assert "Traceback" not in made.log()


def test_a_mistake_of_ours(ask: Submit) -> None:
    made = ask("stumble")
    assert made.wait() == "failed"
    assert "ZeroDivisionError, by zero" in made.message
    assert f"jobs logs {made.id}" in made.message
    assert "Traceback" in made.log()


def test_a_verb_that_does_not_exist(ask: Submit) -> None:
    made = ask("dubble")
    assert made.wait() == "failed"
    assert "Did you mean 'double'" in made.message


def test_a_full_disk_is_said_all_the_same(ask: Submit) -> None:
    made = ask("fill_disk")
    assert made.wait() == "failed"
    assert made.message == "The disk is full. Free some space."


def test_a_full_disk_leaves_no_half_job(
    ask: Submit, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(path: Path, data: bytes, **_: Any) -> None:
        if written:
            raise StorageError("The disk is full.")
        written.append(path)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "write_atomically", full)
        with pytest.raises(StorageError, match="disk is full"):
            ask("double", number=1)
    assert written
    assert list((place.root / "jobs").iterdir()) == []


def test_a_process_that_cannot_be_started(
    ask: Submit, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(place.root / "nothing"))
        with pytest.raises(EngineError, match="cannot be started"):
            ask("double", number=1)
    assert jobs(place) == ()


def test_folders_that_are_no_jobs(ask: Submit, place: Workspace) -> None:
    made = ask("double", number=1)
    made.wait()
    for name, text in {"2": "", "3": "[]", "4": "{}", "five": "{}"}.items():
        (place.jobs / name).mkdir()
        (place.jobs / name / "job.json").write_text(text)
    assert jobs(place) == (made,)
    for folder in (place.jobs / "2", place.jobs / "4", place.root / "nowhere", place.root):
        with pytest.raises(BadInput, match=r"is not a job: its job\.json cannot be read"):
            Job.open(folder)
    assert ask("double", number=1).id == "5"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"state": "asleep", "progress": {}}', '{"state": "done"}', "\xff"]
)
def test_a_damaged_status(ask: Submit, text: str) -> None:
    made = ask("double", number=1)
    made.wait()
    (made.folder / "status.json").write_text(text, encoding="latin-1")
    assert made.state == "failed"
    assert "cannot be read" in made.message


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "core.engine.job_worker", str(folder)]
    return subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=60)


def test_the_worker_by_hand(ask: Submit, tmp_path: Path) -> None:
    made = ask("double", number=1)
    made.wait()
    for folder, word in ((made.folder, "it is done"), (tmp_path, "is not a job")):
        ended = by_hand(folder)
        assert ended.returncode == 2
        assert word in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    made.write(JobStatus())  # as when whoever submitted it was killed just then
    assert made.state == "died"
    ended = by_hand(made.folder)
    assert ended.returncode == 2  # it was told of another verb than a job has by itself
    assert "no kind of job 'double'" in made.message


def test_the_status_survives_a_round_trip() -> None:
    status = JobStatus("running", Progress(1, 2, 3.5, "×"), "m", "n", 7, 1.5, 2.5)
    made = Job(Path("/nowhere"))
    assert made.status.state == "failed"
    from dataclasses import asdict

    assert JobStatus.from_json(json.loads(json.dumps(asdict(status)))) == status


@pytest.mark.parametrize(
    ("device", "name"),
    [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")],
)
def test_lines(device: str, name: str) -> None:
    assert line(device) == name


def test_auto_waits_with_a_device_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/null")]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert line("auto") == "cuda:0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert line("auto") == "cpu"
