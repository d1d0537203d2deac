"""The worker's queue, message by message and without a process: order, haste, cancel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from engine_verbs import VERBS

from core.codec import decode
from core.engine.call import Call
from core.engine.message import (
    Ask,
    Cancel,
    Done,
    Failed,
    Hurry,
    Loaded,
    Setup,
    Started,
    Ticked,
    receive,
)
from core.engine.worker import Worker
from core.models.reference import ModelRef

TOY = ModelRef("toy", "f" * 64)


class Heard(io.BytesIO):
    """Standard output of a worker, as messages."""

    def messages(self) -> list[Any]:
        self.seek(0)
        return list(iter(lambda: receive(self), None))

    def started(self) -> list[int]:
        return [m.number for m in self.messages() if isinstance(m, Started)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def worker(heard: Heard) -> Worker:
    return Worker(io.BytesIO(), heard, Setup(VERBS, None, 0))


def ask(number: int, urgent: bool = False, verb: str = "double", **parameters: Any) -> Ask:
    return Ask(number, Call(verb, TOY, (), parameters or {"by": number}, urgent=urgent))


def serve(worker: Worker, times: int) -> None:
    for _ in range(times):
        worker.serve(urgent_only=False)


def test_urgent_calls_go_first_and_each_kind_in_order(worker: Worker, heard: Heard) -> None:
    for message in (ask(1), ask(2, urgent=True), ask(3), ask(4, urgent=True), ask(5)):
        worker.take(message)
    worker.take(Hurry(3))
    worker.take(Hurry(99))
    serve(worker, 6)
    assert heard.started() == [2, 3, 4, 1, 5]


def test_a_call_is_told_step_by_step(worker: Worker, heard: Heard) -> None:
    worker.take(ask(1))
    serve(worker, 1)
    started, loaded, ticked, done = heard.messages()
    assert (started, loaded) == (Started(1), Loaded(1))
    assert isinstance(ticked, Ticked)
    assert ticked.progress.total == 1
    assert isinstance(done, Done)
    assert decode(done.payload)[4] == 2


def test_what_waits_is_cancelled_without_being_started(worker: Worker, heard: Heard) -> None:
    for message in (ask(1), ask(2), Cancel(1)):
        worker.take(message)
    serve(worker, 2)
    assert heard.started() == [2]
    assert heard.messages()[0] == Failed(1, "Cancelled", "Cancelled.", "")


def test_only_urgent_calls_are_served_inside_a_long_one(
    worker: Worker, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [ask(2), ask(3, urgent=True), ask(4, urgent=True, verb="fail", how="bug")]

    def arrive_at_first_pass(*_: Any) -> int:
        meter = _[-1]
        for message in waiting:
            worker.take(message)
        meter.tick()
        meter.tick()
        return 1

    monkeypatch.setattr("engine_verbs.count", arrive_at_first_pass)
    worker.take(ask(1, verb="count"))
    serve(worker, 1)
    assert heard.started() == [1, 3, 4]
    ends = [m.number for m in heard.messages() if isinstance(m, (Done, Failed))]
    assert ends == [3, 4, 1]  # the outer one last, whatever became of the inner ones
    serve(worker, 1)
    assert heard.started() == [1, 3, 4, 2]


def test_an_urgent_call_lets_nothing_in(
    worker: Worker, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(*_: Any) -> int:
        worker.take(ask(2, urgent=True))
        _[-1].tick()
        return len(heard.started())

    monkeypatch.setattr("engine_verbs.count", arrive)
    worker.take(ask(1, urgent=True, verb="count"))
    serve(worker, 2)
    ends = [m.number for m in heard.messages() if isinstance(m, Done)]
    assert ends == [1, 2]


def test_a_running_call_stops_at_the_next_pass(
    worker: Worker, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []

    def endless(*_: Any) -> None:
        while True:
            _[-1].tick()
            passes.append(1)
            if len(passes) == 3:
                worker.take(Cancel(1))

    monkeypatch.setattr("engine_verbs.count", endless)
    worker.take(ask(1, verb="count"))
    serve(worker, 1)
    assert len(passes) == 3
    assert heard.messages()[-1].kind == "Cancelled"


def test_progress_is_reported_but_not_each_pass(worker: Worker, heard: Heard) -> None:
    worker.take(ask(1, verb="numbers", passes=2000))
    serve(worker, 1)
    ticks = [m for m in heard.messages() if isinstance(m, Ticked)]
    assert 1 <= len(ticks) < 200


def test_a_result_too_large_for_the_pipe_is_an_error(
    worker: Worker, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.message._LARGEST", 10_000)
    worker.take(ask(1, verb="explain", by=1))
    worker.take(ask(2))
    serve(worker, 2)
    failed, done = (m for m in heard.messages() if isinstance(m, (Done, Failed)))
    assert (failed.number, failed.kind, done.number) == (1, "EngineError", 2)
    assert "too much for one call" in failed.message


def test_a_parent_that_is_gone_is_no_error(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    worker = Worker(io.BytesIO(), Broken(), Setup(VERBS, str(tmp_path), 10**6))
    request = ask(1)
    worker.take(request)
    serve(worker, 1)
    assert len(list(tmp_path.glob("*/*.npz"))) == 1  # the result is kept all the same
