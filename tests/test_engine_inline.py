"""The inline executor: lazy, observable, cancellable, and sharing stored results."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from engine_verbs import VERBS, Gate

from core.engine.call import Call
from core.engine.executor import Executor
from core.engine.inline import InlineExecutor
from core.engine.verbs import Verbs
from core.engine.workbench import Workbench
from core.errors import BadInput, BadModel, Cancelled, EngineError, UnknownName
from core.models.reference import ModelRef
from core.progress import Meter, Progress
from core.workspace import Workspace

TOY = ModelRef("toy", "f" * 64)


def ask(verb: str, **parameters: Any) -> Call:
    return Call(verb, TOY, parameters=parameters)


def test_nothing_is_computed_before_it_is_asked_for(tmp_path: Path) -> None:
    executor: Executor = InlineExecutor(verbs=VERBS)
    handle = executor.submit(ask("count", file=str(tmp_path / "marks")))
    assert handle.state == "waiting"
    assert not (tmp_path / "marks").exists()
    value = handle.result()
    assert (handle.state, handle.result()) == ("done", value)
    assert (tmp_path / "marks").read_text() == "x"


def test_every_pass_is_reported() -> None:
    seen: list[Progress] = []
    handle = InlineExecutor(verbs=VERBS).submit(ask("numbers", passes=3), notify=seen.append)
    handle.result()
    assert [(p.done, p.total) for p in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert handle.progress == seen[-1]


def test_another_thread_can_watch_and_cancel() -> None:
    with Gate() as gate:
        handle = InlineExecutor(verbs=VERBS).submit(ask("numbers", passes=4, gate=gate.port))
        raised: list[BaseException] = []

        def compute() -> None:
            try:
                handle.result()
            except Cancelled as error:
                raised.append(error)

        thread = threading.Thread(target=compute)
        thread.start()
        gate.arrived()
        assert handle.state == "running"
        assert handle.progress.done == 3
        with pytest.raises(TimeoutError):
            handle.result(timeout=0)
        handle.cancel()
        assert gate.gone()
        thread.join(30)
    assert handle.state == "cancelled"
    assert len(raised) == 1


def test_cancelled_before_it_began(tmp_path: Path) -> None:
    handle = InlineExecutor(verbs=VERBS).submit(ask("count", file=str(tmp_path / "marks")))
    handle.cancel()
    with pytest.raises(Cancelled):
        handle.result()
    assert not (tmp_path / "marks").exists()


def test_equal_calls_share_a_handle_until_it_is_settled() -> None:
    executor = InlineExecutor(verbs=VERBS)
    first = executor.submit(ask("double", by=1))
    assert executor.submit(ask("double", by=1)) is first
    assert executor.submit(ask("double", by=2)) is not first
    first.result()
    assert executor.submit(ask("double", by=1)) is not first


def test_results_are_stored_and_errors_are_not(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "place")
    call = ask("count", file=str(tmp_path / "later" / "marks"))
    with pytest.raises(EngineError, match="FileNotFoundError"):
        InlineExecutor(workspace=place, verbs=VERBS).submit(call).result()
    (tmp_path / "later").mkdir()
    assert not InlineExecutor(workspace=place, verbs=VERBS).stored(call)
    value = InlineExecutor(workspace=place, verbs=VERBS).submit(call).result()
    second = InlineExecutor(workspace=place, verbs=VERBS)
    assert second.stored(call)
    assert second.submit(call).state == "done"
    assert second.submit(call).result() == value
    assert (tmp_path / "later" / "marks").read_text() == "x"


def test_what_holds_for_a_moment_is_not_stored(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "place")
    call = ask("moment", file=str(tmp_path / "marks"))
    InlineExecutor(workspace=place, verbs=VERBS).submit(call).result()
    later = InlineExecutor(workspace=place, verbs=VERBS)
    assert not later.stored(call)
    later.submit(call).result()
    assert (tmp_path / "marks").read_text() == "xx"


def test_a_result_that_cannot_be_stored_is_still_a_result(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    executor = InlineExecutor(workspace=Workspace(tmp_path), verbs=VERBS)
    assert executor.submit(ask("double", by=2)).result()[4] == 4


def test_errors_of_ours_pass_and_others_are_explained(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    executor = InlineExecutor(workspace=place, verbs=VERBS)
    with pytest.raises(BadInput, match="not a picture"):
        executor.submit(ask("fail", how="user")).result()
    with pytest.raises(EngineError, match=r"ZeroDivisionError, secret of line 12\.") as raised:
        executor.submit(ask("fail", how="bug")).result()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: secret of line 12" in (place.logs / "inline.log").read_text()
    with pytest.raises(UnknownName, match=r"no verb 'doubel'. Did you mean 'double'\?"):
        executor.submit(ask("doubel"))
    executor.close()
    with pytest.raises(EngineError, match="closed"):
        executor.submit(ask("double", by=1))


def test_the_least_recently_used_model_is_forgotten() -> None:
    bench = Workbench(VERBS)
    refs = [ModelRef(f"toy{index}", "0") for index in range(5)]
    first, second = (bench.model(ref, "cpu") for ref in refs[:2])
    for ref in (*refs[2:4], refs[0], refs[4]):  # five are one too many
        bench.model(ref, "cpu")
    assert bench.model(refs[0], "cpu") is first
    assert bench.model(refs[1], "cpu") is not second
    assert bench.model(refs[0], "cuda") is not first


class Large:
    """A model of which two fit into memory."""


LIVING: WeakSet[Large] = WeakSet()


def tight(ref: ModelRef, device: str) -> Large:
    """Loads one where there is room, and says what else there is as readers of files do."""
    if len(LIVING) >= 2 or ref.name == "huge":
        try:
            raise MemoryError
        except MemoryError as error:
            raise BadModel("It cannot be read.", "Save it again.") from error
    LIVING.add(made := Large())
    return made


def test_models_go_where_there_is_no_memory_for_one_more() -> None:
    bench = Workbench(Verbs({}, f"{__name__}:tight"))
    for name in ("one", "two", "three"):
        bench.model(ModelRef(name, "0"), "cpu")
    assert len(LIVING) == 1
    for _ in range(2):
        with pytest.raises(BadModel, match="cannot be read"):
            bench.model(ModelRef("huge", "0"), "cpu")
    assert not LIVING


def test_the_bench_stops_before_loading_when_cancelled_already() -> None:
    bench = Workbench(VERBS)
    with pytest.raises(Cancelled):
        bench.run(Call("double", ModelRef("crashes", "")), Meter(cancelled=lambda: True))
