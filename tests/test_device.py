"""Devices are found or refused in words; batch sizes are measured and survive full memory."""

import pytest
import torch

from core.device import best_batch, choose, out_of_memory, probe_threads
from core.errors import BadParameter

CPU = torch.device("cpu")


def test_auto_is_the_best_there_is() -> None:
    best = (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )
    assert choose().type == best
    assert choose("cpu") == CPU


@pytest.mark.parametrize("name", ["quantum", "cuda:99", "xpu:0", "cpu:7", ""])
def test_missing_devices_are_refused(name: str) -> None:
    with pytest.raises(BadParameter, match="device"):
        choose(name)


def test_best_batch_stops_where_memory_ends() -> None:
    tried = []

    def run(size: int) -> None:
        tried.append(size)
        if size > 4:
            raise torch.OutOfMemoryError("out of memory")

    size, seconds = best_batch(run, CPU)
    assert size <= 4
    assert seconds >= 0
    assert max(tried) <= 8


def test_a_busy_moment_does_not_decide_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first passes take half a second each, all later ones a millisecond per example."""
    clock, passes = [0.0], []

    def run(size: int) -> None:
        passes.append(size)
        clock[0] += 0.5 if len(passes) <= 2 else 0.001

    monkeypatch.setattr("core.device.time.perf_counter", lambda: clock[0])
    size, seconds = best_batch(run, CPU)
    assert size == 64
    assert seconds == pytest.approx(0.001 / 64)


def test_best_batch_stays_at_one_where_a_pass_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def run(size: int) -> None:
        clock[0] += 0.5 * size

    monkeypatch.setattr("core.device.time.perf_counter", lambda: clock[0])
    assert best_batch(run, CPU) == (1, 0.5)


def test_best_batch_does_not_swallow_other_errors() -> None:
    def run(size: int) -> None:
        raise ValueError("not about memory")

    with pytest.raises(ValueError, match="not about memory"):
        best_batch(run, CPU)


def test_memory_errors_are_known_in_all_spellings() -> None:
    assert out_of_memory(torch.OutOfMemoryError("x"))
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("out of memory"))


def test_threads_are_measured_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert probe_threads() == before
        monkeypatch.delenv("OMP_NUM_THREADS")
        chosen = probe_threads(seconds=0.02)
        assert 1 <= chosen <= before
        assert torch.get_num_threads() == chosen
    finally:
        torch.set_num_threads(before)
