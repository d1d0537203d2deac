"""Opening a ``.pt2`` file, and running it, beside what torch alone takes:
``python -m tests.benchmarks.program``.

Looking a file over and writing it anew stands beside copying it; rebuilding the module with its
layers beside ``torch.export.load``; a forward pass and its gradient beside the live network. All in
turns in the same run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from core.models.exported.clean import clean
from core.models.exported.module import ExportedModule, program

ONCE = 8  # examples


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """A deep network of small layers, and a shallow one of large ones, with examples."""
    torch.manual_seed(0)
    convolutions: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1)]
    for _ in range(23):
        convolutions += [nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)]
    deep = nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    wide = nn.Sequential(nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.Linear(4096, 10))
    return {
        "24 convolutions": (deep.eval(), torch.rand(ONCE, 3, 32, 32)),
        "3 dense layers": (wide.eval(), torch.rand(ONCE, 64)),
    }


def exported(network: nn.Module, inputs: Tensor, path: Path) -> None:
    """The network as plain PyTorch writes it, for any number of examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        made = torch.export.export(network, (inputs,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        torch.export.save(made, path)


def forward(network: nn.Module, inputs: Tensor) -> Callable[[], object]:
    """One answer, without a gradient."""

    def work() -> object:
        with torch.no_grad():
            return network(inputs)

    return work


def gradient(network: nn.Module, inputs: Tensor) -> Callable[[], object]:
    """The gradient of the answers to the inputs."""
    given = inputs.clone().requires_grad_()
    return lambda: torch.autograd.grad(network(given).sum(), given)


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print(f"{'':<18} {'MB':>5} {'':<30} {'ms':>9} {'× peer':>7} {'spread':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, (network, inputs) in networks().items():
            file, copy, written = (folder / each for each in ("a.pt2", "b.pt2", "c.pt2"))
            exported(network, inputs, file)
            clean(file, written)
            module = ExportedModule(program(written), {}).eval()
            pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
                "looked over ÷ copied": (
                    lambda file=file, to=written: clean(file, to),
                    lambda file=file, to=copy: shutil.copyfile(file, to),
                ),
                "rebuilt ÷ torch.export.load": (
                    lambda path=written: ExportedModule(program(path), {}),
                    lambda path=written: program(path),
                ),
                "forward ÷ live": (forward(module, inputs), forward(network, inputs)),
                "gradient ÷ live": (gradient(module, inputs), gradient(network, inputs)),
            }
            for what, (ours, peer) in pairs.items():
                turns = [(seconds(ours), seconds(peer)) for _ in range(repeats + 1)][1:]
                ratios = [our / their for our, their in turns]
                spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
                taken = median(our for our, _ in turns) * 1e3
                print(
                    f"{title:<18} {file.stat().st_size / 2**20:>5.0f} {what:<30} {taken:>9.1f} "
                    f"{median(ratios):>7.2f} {spread:>12}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
