"""Where to compute: device, threads, batch size, and what to do when memory runs out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.errors import BadParameter

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is CUDA, else MPS, else CPU.

    Raises ``BadParameter`` when it is not a device or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadParameter(
            f"'{name}' is not a device, expected auto, cpu, cuda, cuda:1 or mps.",
            "Leave it out to use the best there is.",
        ) from None
    index = device.index or 0
    there = {
        "cpu": index == 0,
        "cuda": torch.cuda.is_available() and index < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available() and index == 0,
    }
    if not there.get(device.type, False):
        raise BadParameter(
            f"There is no device '{name}' on this machine.", "Use --device cpu or --device auto."
        )
    return device


def probe_threads(seconds: float = 0.3) -> int:
    """Set the number of CPU threads to the fastest by measurement, and return it.

    A busy neighbour can make two threads several times slower than one, so counts from all cores
    down to one are timed on a small convolution. ``OMP_NUM_THREADS`` set by the user is obeyed.
    """
    if os.environ.get("OMP_NUM_THREADS", "").isdecimal():
        return torch.get_num_threads()
    counts, count = [], torch.get_num_threads()
    while count >= 1:
        counts.append(count)
        count //= 2
    images = torch.ones(8, 16, 32, 32)
    kernel = torch.ones(32, 16, 3, 3)
    best = dict.fromkeys(counts, float("inf"))
    deadline = time.perf_counter() + seconds
    with torch.no_grad():
        while True:
            for threads in counts:
                torch.set_num_threads(threads)
                torch.conv2d(images, kernel)
                started = time.perf_counter()
                for _ in range(5):
                    torch.conv2d(images, kernel)
                best[threads] = min(best[threads], time.perf_counter() - started)
            if time.perf_counter() > deadline:
                break
    chosen = min(counts, key=best.__getitem__)
    torch.set_num_threads(chosen)
    return chosen


def out_of_memory(error: BaseException) -> bool:
    """Whether this error is a device or the host running out of memory, in any of its spellings."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def free_memory(device: torch.device) -> int | None:
    """Bytes of memory that are available, None where nobody says so."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable")), None)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def best_batch(
    run: Callable[[int], None],
    device: torch.device,
    largest: int = 64,
    longest: float = 0.25,
    budget: float = 0.25,
) -> tuple[int, float]:
    """The largest batch size within 5 % of the best throughput, and its seconds per example.

    ``run(size)`` makes one pass. Sizes 1, 2, 4 … are tried until a pass takes longer than
    ``longest`` seconds (so that Cancel is answered soon) or memory runs out; then they take turns
    for ``budget`` seconds, so that a busy neighbour slows all of them down and not one.
    """

    def seconds(size: int) -> float:
        synchronise(device)
        started = time.perf_counter()
        run(size)
        synchronise(device)
        return time.perf_counter() - started

    best: dict[int, float] = {}
    size = 1
    while size <= largest:
        try:
            run(size)
            best[size] = seconds(size) / size
        except Exception as error:
            if size > 1 and out_of_memory(error):
                break
            raise
        if best[size] * size > longest:
            if len(best) == 1:  # too long for one, or only slow at this moment?
                best[size] = min(best[size], seconds(size))
            if best[size] * size > longest:
                break
        size *= 2
    deadline = time.perf_counter() + budget
    for size in list(best) * 6:
        if time.perf_counter() + best[size] * size < deadline:
            best[size] = min(best[size], seconds(size) / size)
    fastest = min(best.values())
    chosen = max(size for size, took in best.items() if took <= 1.05 * fastest)
    return chosen, best[chosen]
