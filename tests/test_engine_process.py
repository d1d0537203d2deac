"""The worker process: crashes, cancels, priorities, sessions, and what it shares with inline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine_verbs
import numpy as np
import pytest
from engine_verbs import VERBS, Gate

from core.engine.call import Call
from core.engine.inline import InlineExecutor
from core.engine.process import ProcessExecutor
from core.engine.verbs import Verbs
from core.errors import (
    BadInput,
    BadModel,
    Cancelled,
    EngineError,
    OutOfMemory,
    UnknownName,
    WorkerDied,
)
from core.models.reference import ModelRef
from core.tasks import Example
from core.workspace import Workspace

TOY = ModelRef("toy", "f" * 64)
ROOT = Path(engine_verbs.__file__).parent.parent
TIMEOUT = 30.0

Make = Callable[..., ProcessExecutor]


def ask(verb: str, urgent: bool = False, model: ModelRef = TOY, **parameters: Any) -> Call:
    return Call(verb, model, parameters=parameters, urgent=urgent)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("PYTHONPATH", str(Path(engine_verbs.__file__).parent))
    made: list[ProcessExecutor] = []

    def start(*arguments: Any, verbs: Verbs = VERBS, **options: Any) -> ProcessExecutor:
        made.append(ProcessExecutor(*arguments, verbs=verbs, **options))
        return made[-1]

    yield start
    for executor in made:
        executor.close()


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as opened:
        yield opened


def test_results_equal_those_computed_inline(make: Make) -> None:
    call = Call("double", TOY, (Example("a.png", b"\x00\x01"),), {"by": 4}, seed=3)
    through = make().submit(call).result(TIMEOUT)
    inline = InlineExecutor(verbs=VERBS).submit(call).result()
    assert through[:5] == inline[:5] == ("toy", "auto", 3, call.inputs, 8)
    np.testing.assert_array_equal(through[5], inline[5])
    assert through[5].dtype == np.float32


def test_the_executor_chooses_the_device_that_a_call_leaves_open(make: Make) -> None:
    executor = make("cpu")
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[1] == "cpu"
    given = Call("double", TOY, (), {"by": 1}, device="cuda:1")
    assert executor.submit(given).result(TIMEOUT)[1] == "cuda:1"


# When the worker dies


def test_killed_in_the_middle_of_a_call_only_that_call_notices(make: Make, gate: Gate) -> None:
    executor = make()
    victim = executor.submit(ask("hang", gate=gate.port), owner="first")
    others = [executor.submit(ask("double", by=n), owner="second") for n in range(3)]
    os.kill(gate.arrived(), signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"during 'hang' on 'toy': .*SIGKILL.*try once more"):
        victim.result(TIMEOUT)
    assert victim.state == "failed"
    assert [handle.result(TIMEOUT)[4] for handle in others] == [0, 2, 4]
    assert executor.submit(ask("double", by=9)).result(TIMEOUT)[4] == 18


def test_a_suspended_call_survives_the_death_of_the_urgent_one(make: Make, gate: Gate) -> None:
    executor = make()
    with Gate() as inner:
        long = executor.submit(ask("numbers", passes=4, gate=gate.port))
        gate.arrived()
        urgent = executor.submit(ask("hang", urgent=True, gate=inner.port))
        os.kill(inner.arrived(), signal.SIGSEGV)
        with pytest.raises(WorkerDied, match="SIGSEGV"):
            urgent.result(TIMEOUT)
        gate.arrived()  # the long call, once more
        gate.open()
        alone = InlineExecutor(verbs=VERBS).submit(ask("numbers", passes=4)).result()
        assert long.result(TIMEOUT) == alone


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_call_that_kills_the_worker_fails_and_the_next_one_is_served(
    make: Make, number: int
) -> None:
    executor = make()
    for _ in range(4):  # more often than a worker may fail to start
        with pytest.raises(WorkerDied):
            executor.submit(ask("die", signal=int(number))).result(TIMEOUT)
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[4] == 2


def test_a_model_that_ends_the_worker_names_itself(make: Make) -> None:
    call = ask("double", model=ModelRef("crashes", "0"), by=1)
    with pytest.raises(WorkerDied, match="'crashes': it ended with exit status 7"):
        make().submit(call).result(TIMEOUT)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no torch here' >&2; exit 3", "exit status 3. It said: no torch here"),
        ("echo 'not a message at all'; exit 0", "3 times while starting"),
    ],
)
def test_a_worker_that_cannot_start_is_an_error_not_a_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(fake))
        executor = make()
        with pytest.raises(EngineError, match=said):
            executor.submit(ask("double", by=1)).result(TIMEOUT)
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[4] == 2


def test_no_interpreter_at_all(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(EngineError, match="cannot be started: No such file"):
        make()


def test_warming_up_with_a_bad_model_harms_nobody(make: Make) -> None:
    executor = make()
    executor.warm(ModelRef("broken", "0"))
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[4] == 2
    with pytest.raises(BadModel, match=r"cut off\. Fetch it again"):
        executor.submit(ask("double", model=ModelRef("broken", "0"), by=1)).result(TIMEOUT)


# Cancel


def test_cancelling_what_ticks_keeps_the_worker(make: Make, gate: Gate, tmp_path: Path) -> None:
    executor = make()
    handle = executor.submit(ask("numbers", passes=4, gate=gate.port))
    worker = gate.arrived()
    handle.cancel()
    assert handle.state == "cancelled"
    assert gate.gone()
    with pytest.raises(Cancelled):
        handle.result(TIMEOUT)
    counted = executor.submit(ask("count", file=str(tmp_path / "marks")))
    assert counted.result(TIMEOUT) == worker


def test_cancelling_what_never_ticks_restarts_the_worker(
    make: Make, gate: Gate, tmp_path: Path
) -> None:
    executor = make()
    handle = executor.submit(ask("hang", gate=gate.port), owner="first")
    other = executor.submit(ask("count", file=str(tmp_path / "marks")), owner="second")
    worker = gate.arrived()
    started = time.monotonic()
    handle.cancel()
    assert handle.state == "cancelled"
    assert gate.gone()
    assert time.monotonic() - started > 0.5  # it had its chance
    assert other.result(TIMEOUT) != worker
    assert (tmp_path / "marks").read_text() == "x"


def test_cancelling_what_waits_leaves_the_running_call_alone(make: Make, gate: Gate) -> None:
    executor = make()
    first = executor.submit(ask("hang", gate=gate.port))
    waiting = executor.submit(ask("double", by=1))
    gate.arrived()
    waiting.cancel()
    assert waiting.state == "cancelled"
    gate.open()
    assert first.result(TIMEOUT) is True
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[4] == 2


def test_cancelling_a_suspended_call_leaves_the_urgent_one_alone(make: Make, gate: Gate) -> None:
    executor = make()
    with Gate() as inner:
        long = executor.submit(ask("numbers", passes=4, gate=gate.port))
        worker = gate.arrived()
        urgent = executor.submit(ask("hang", urgent=True, gate=inner.port))
        assert inner.arrived() == worker
        long.cancel()
        inner.open()
        assert urgent.result(TIMEOUT) is True
        assert gate.gone()
    assert long.state == "cancelled"


def test_a_finished_call_cannot_be_cancelled(make: Make) -> None:
    handle = make().submit(ask("double", by=1))
    handle.result(TIMEOUT)
    handle.cancel()
    assert handle.state == "done"
    assert handle.error is None


# Priorities


def test_urgent_work_is_answered_inside_a_long_call_and_changes_nothing(
    make: Make, gate: Gate
) -> None:
    executor = make()
    long = executor.submit(ask("numbers", passes=6, gate=gate.port))
    gate.arrived()
    urgent = executor.submit(ask("numbers", urgent=True, passes=3)).result(TIMEOUT)
    assert long.state == "running"
    gate.open()
    inline = InlineExecutor(verbs=VERBS)
    assert urgent == inline.submit(ask("numbers", passes=3)).result()
    assert long.result(TIMEOUT) == inline.submit(ask("numbers", passes=6)).result()


# Sessions


def test_equal_calls_under_way_are_computed_once(make: Make, gate: Gate, tmp_path: Path) -> None:
    executor = make()
    blocking = executor.submit(ask("hang", gate=gate.port))
    gate.arrived()
    call = ask("count", file=str(tmp_path / "marks"))
    mine = executor.submit(call, owner="mine")
    assert executor.submit(call, owner="mine") is mine  # a page asks at every rerun
    yours = executor.submit(call, owner="yours")
    nobodys = executor.submit(call)
    mine.cancel()
    assert (mine.state, yours.state, nobodys.state) == ("cancelled", "waiting", "waiting")
    again = executor.submit(call, owner="mine")
    gate.open()
    blocking.result(TIMEOUT)
    assert yours.result(TIMEOUT) == nobodys.result(TIMEOUT) == again.result(TIMEOUT)
    assert mine.state == "cancelled"
    assert (tmp_path / "marks").read_text() == "x"


def test_a_handle_that_nobody_holds_does_not_keep_a_call_alive(make: Make, gate: Gate) -> None:
    executor = make()
    call = ask("numbers", passes=4, gate=gate.port)
    executor.submit(call)  # a page that has been drawn again since
    handle = executor.submit(call)
    gate.arrived()
    handle.cancel()
    assert gate.gone()


def test_a_call_stops_when_everyone_has_cancelled(make: Make, gate: Gate) -> None:
    executor = make()
    call = ask("numbers", passes=4, gate=gate.port)
    handles = [executor.submit(call, owner=owner) for owner in ("mine", "yours")]
    gate.arrived()
    for handle in handles:
        handle.cancel()
    assert gate.gone()
    fresh = executor.submit(call, owner="mine")  # begins anew
    gate.arrived()
    gate.open()
    assert (
        fresh.result(TIMEOUT)
        == InlineExecutor(verbs=VERBS).submit(ask("numbers", passes=4)).result()
    )


# Stored results


def test_results_outlive_the_executor(make: Make, place: Workspace, tmp_path: Path) -> None:
    call = ask("count", file=str(tmp_path / "marks"))
    first = make(workspace=place)
    worker = first.submit(call).result(TIMEOUT)
    assert first.stored(call)
    first.close()
    second = make(workspace=place)
    assert second.stored(call)
    handle = second.submit(call)
    assert (handle.state, handle.result(0)) == ("done", worker)
    assert InlineExecutor(workspace=place, verbs=VERBS).submit(call).result() == worker
    assert (tmp_path / "marks").read_text() == "x"
    assert not second.stored(ask("count", file=str(tmp_path / "others")))


def test_a_result_that_cannot_be_stored_is_still_a_result(
    make: Make, place: Workspace, tmp_path: Path
) -> None:
    place.root.mkdir()
    (place.root / "results").write_text("a file where a folder should be")
    executor = make(workspace=place)
    call = ask("count", file=str(tmp_path / "marks"))
    worker = executor.submit(call).result(TIMEOUT)
    assert executor.submit(call).result(TIMEOUT) == worker  # a page asks again when it is drawn
    assert (tmp_path / "marks").read_text() == "x"


def test_a_cancel_reaches_what_a_page_before_a_reload_began(make: Make) -> None:
    """The reloaded page is another session; the one before it is not connected any more."""
    executor = make()
    with Gate() as gate:
        call = ask("numbers", passes=2, gate=gate.port)
        before = executor.submit(call, owner="gone")
        other = executor.submit(call, owner="other")
        mine = executor.submit(call, owner="mine")
        gate.arrived()
        executor.give_up(mine, lambda owner: owner == "other")
        assert (before.state, mine.state) == ("cancelled", "cancelled")
        assert other.state == "running"  # somebody else still waits for it
        again = executor.submit(call, owner="mine")
        executor.give_up(other, lambda owner: owner == "mine")
        assert again.state == "running"
        gate.open()
        assert again.result(TIMEOUT) is not None


def test_what_holds_for_a_moment_is_computed_again_by_the_next_server(
    make: Make, place: Workspace, tmp_path: Path
) -> None:
    call = ask("moment", file=str(tmp_path / "marks"))
    with make(workspace=place) as executor:
        executor.submit(call).result(TIMEOUT)
        executor.submit(call).result(TIMEOUT)  # this server remembers
    later = make(workspace=place)
    assert not later.stored(call)
    later.submit(call).result(TIMEOUT)
    assert (tmp_path / "marks").read_text() == "xx"


def test_errors_are_not_stored(make: Make, place: Workspace, tmp_path: Path) -> None:
    executor = make(workspace=place)
    call = ask("count", file=str(tmp_path / "later" / "marks"))
    with pytest.raises(EngineError, match="FileNotFoundError"):
        executor.submit(call).result(TIMEOUT)
    (tmp_path / "later").mkdir()
    executor.submit(call).result(TIMEOUT)


# Errors


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("user", BadInput, r"^It is not a picture\. Choose another\.$"),
        ("bug", EngineError, r"ZeroDivisionError, secret of line 12\. Its details are in the work"),
        ("memory", OutOfMemory, r"Memory ran out during 'fail' on 'toy'"),
        ("exit", EngineError, r"SystemExit"),
        ("object", EngineError, r"type object cannot be stored"),
    ],
)
def test_errors_arrive_as_one_sentence_of_their_kind(
    make: Make, place: Workspace, how: str, kind: type[Exception], message: str
) -> None:
    executor = make(workspace=place)
    handle = executor.submit(ask("fail", how=how))
    with pytest.raises(kind, match=message) as raised:
        handle.result(TIMEOUT)
    assert type(raised.value) is kind
    assert handle.state == "failed"
    assert "Traceback" not in str(raised.value)
    assert "second line" not in str(raised.value)
    executor.close()
    log = "".join(path.read_text() for path in place.logs.iterdir())
    assert ("Traceback" in log) is (how != "user")


def test_what_libraries_print_does_not_disturb(make: Make, place: Workspace) -> None:
    executor = make(workspace=place)
    assert executor.submit(ask("fail", how="print")).result(TIMEOUT) == "fine"
    executor.close()
    log = "".join(path.read_text() for path in place.logs.iterdir())
    assert "a library talks" in log
    assert "so does C code" in log


def test_only_verbs_of_the_executor_can_be_called(make: Make) -> None:
    with pytest.raises(UnknownName, match="no verb 'os:system'"):
        make().submit(ask("os:system"))


def test_parameters_that_cannot_be_sent_are_refused_at_once(make: Make) -> None:
    executor = make()
    for odd in ({1, 2}, {1: 2}, object()):
        with pytest.raises(TypeError):
            executor.submit(ask("double", by=odd))
    assert executor.submit(ask("double", by=1)).result(TIMEOUT)[4] == 2


def test_progress_reaches_the_handle(make: Make) -> None:
    handle = make().submit(ask("numbers", passes=7))
    handle.result(TIMEOUT)
    assert handle.progress.total == 7


# Life and death


def test_close_ends_everything_and_may_be_repeated(make: Make, gate: Gate) -> None:
    executor = make()
    handle = executor.submit(ask("hang", gate=gate.port))
    worker = gate.arrived()
    executor.close()
    executor.close()
    assert gate.gone()
    assert handle.state == "cancelled"
    with pytest.raises(ChildProcessError):  # no zombie is left to wait for
        os.waitpid(worker, os.WNOHANG)
    with pytest.raises(EngineError, match="closed"):
        executor.submit(ask("double", by=1))


def test_interrupts_are_for_the_parent(make: Make, gate: Gate) -> None:
    handle = make().submit(ask("hang", gate=gate.port))
    os.kill(gate.arrived(), signal.SIGINT)
    gate.open()
    assert handle.result(TIMEOUT) is True


def test_the_worker_does_not_outlive_its_parent(make: Make, gate: Gate) -> None:
    script = (
        "import sys; from engine_verbs import VERBS; from core.engine.call import Call\n"
        "from core.engine.process import ProcessExecutor\n"
        "from core.models.reference import ModelRef\n"
        "call = Call('hang', ModelRef('toy', ''), (), {'gate': int(sys.argv[1])})\n"
        "ProcessExecutor(verbs=VERBS).submit(call).result()\n"
    )
    command = [sys.executable, "-c", script, str(gate.port)]
    with subprocess.Popen(command, cwd=ROOT) as parent:
        assert gate.arrived() != parent.pid
        parent.kill()
    assert gate.gone()


def test_the_servers_process_stays_thin() -> None:
    script = (
        "import sys, core.engine.process, core.store, core.workspace, core.models.catalogue\n"
        "core.models.catalogue.catalogue()\n"
        "heavy = {'torch', 'captum', 'umap', 'transformers', 'sklearn', 'skimage'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
