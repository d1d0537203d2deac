"""What watching costs while the digits network trains: ``python tests/benchmarks/training.py``.

Three loops make the same updates of ``digits_cnn`` on synthetic digits:

- *bare*: forward, loss, backward, optimiser step, as anybody would write them;
- *loop*: ours, with gradient norms and update-to-weight ratios of every layer, events written;
- *histograms*: ours, with histograms of weights and gradients every 50 updates as well.

They take turns, on the CPU update by update, so that a busy neighbour slows all of them down and
not one; there the clock is the processor time of this process. The overhead is the median over
rounds of 50 updates of (ours ÷ bare) - 1; the aim is at most 5 % with norms and at most 20 % with
histograms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.device import choose, probe_threads, synchronise
from core.training.config import Config
from core.training.journal import Journal
from core.training.learner import Learner
from core.training.loop import trainable
from core.training.metrics import Tally
from core.training.order import number, seed_all

ROUND = 50  # updates: one of them takes histograms
BATCH = 128
POSITIONS = list(range(BATCH))
Updates = Callable[[list[Any]], None]


def bare(config: Config, device: torch.device) -> Updates:
    """A plain training loop."""
    seed_all(0)
    made = trainable(config)
    module = made.module.to(device).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=device.type == "cpu" or None)

    def updates(batches: list[Any]) -> None:
        for batch in batches:
            moved = tuple(each.to(device) for each in batch)
            optimiser.zero_grad()
            made.answer(module, moved).loss.backward()
            optimiser.step()
        synchronise(device)

    return updates


def ours(config: Config, folder: Path, histograms: bool) -> Updates:
    """The updates of the training loop, with everything that it writes down at an update."""
    learner = Learner(trainable(config), config.settings, config.device)
    journal = Journal(folder, learner.norms, 0)
    tally: Tally = learner.tally()
    step = 0

    def updates(batches: list[Any]) -> None:
        nonlocal step
        journal.skip()
        for batch in batches:
            loss, answers = learner.gradients([POSITIONS], [batch], number(0, "step", step))
            learner.update(1e-3)
            learner.count(answers, tally)
            step += 1
            journal.add(step, loss, 1e-3, BATCH)
            if histograms and step % ROUND == 0:
                journal.histograms(step, learner.module)
            if journal.due:
                journal.write()
        synchronise(learner.device)

    return updates


def main() -> None:
    """Measure and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", dest="rounds", action="store_const", const=3, default=15)
    arguments.add_argument("--device", default="auto")
    options = arguments.parse_args()
    threads = probe_threads()
    device = choose(options.device)
    settings = {"augment": False, "gradient_clip": 0, "weight_decay": 0, "precision": "32"}
    config = Config.of("digits_cnn", settings, device=options.device)
    generator = np.random.default_rng(0)
    batches = [
        (
            torch.from_numpy(generator.integers(0, 256, (BATCH, 1, 28, 28), np.uint8)),
            torch.from_numpy(generator.integers(0, 10, BATCH)),
        )
        for _ in range(ROUND)
    ]
    with tempfile.TemporaryDirectory() as place:
        loops = {
            "bare": bare(config, device),
            "loop": ours(config, Path(place) / "loop", histograms=False),
            "histograms": ours(config, Path(place) / "histograms", histograms=True),
        }
        took: dict[str, list[float]] = {name: [] for name in loops}
        turn = 1 if device.type == "cpu" else ROUND
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        for round_ in range(options.rounds + 1):
            spent = dict.fromkeys(loops, 0.0)
            for at in range(0, ROUND, turn):
                for name, updates in loops.items():
                    started = clock()
                    updates(batches[at : at + turn])
                    spent[name] += clock() - started
            for name, seconds in spent.items():
                if round_:  # the first one warms up
                    took[name].append(seconds / ROUND)
    print(f"{device.type}, {threads} threads, batches of {BATCH}, {len(took['bare'])} rounds")
    print(f"{'':12}{'ms per update':>16}{'overhead':>12}{'aim':>8}")
    for name, aim in (("bare", ""), ("loop", "5 %"), ("histograms", "20 %")):
        pairs = zip(took[name], took["bare"], strict=True)
        over = statistics.median(own / plain for own, plain in pairs) - 1
        print(f"{name:12}{statistics.median(took[name]) * 1e3:16.2f}{over:12.1%}{aim:>8}")


if __name__ == "__main__":
    main()
