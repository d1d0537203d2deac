"""A graph of ONNX that became layers, beside the library that runs graphs and the live network:
``python -m tests.benchmarks.onnx``.

A forward of the program stands beside onnxruntime's and the live network's, its gradient beside the
live network's, the bytes of its file beside those of the graph, and making and proving it beside
opening a program that torch exported of the same network. All in turns in the same run, one thread.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import onnxruntime
import torch
from torch import Tensor, nn

from core.models.exported.clean import clean
from core.models.exported.description import Description
from core.models.exported.module import ExportedModule, program
from core.models.exported.own import PROGRAM
from core.models.exported.trial import tried
from core.models.formats.layered import layered
from tests.benchmarks.program import exported, forward, gradient, networks, seconds


def graph(network: nn.Module, inputs: Tensor, path: Path) -> None:
    """The network as ``torch.onnx.export`` writes it, for any number of examples, in one file."""
    free = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.onnx.export(
            network, (inputs,), path, dynamic_shapes=free, external_data=False, verbose=False
        )


def asked(path: Path, inputs: Tensor) -> Callable[[], object]:
    """One answer of onnxruntime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, given)


def converted(path: Path, folder: Path) -> Callable[[], object]:
    """The whole way of a graph, but for the start of a process: read, made, proved, kept."""

    def work() -> object:
        (folder / PROGRAM).unlink(missing_ok=True)
        return layered(path, Description(), folder, lambda: None)

    return work


def opened(path: Path, target: Path) -> Callable[[], object]:
    """The same way of a program that torch exported."""
    return lambda: tried(clean(path, target), target)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    logging.disable(logging.WARNING)  # the exporter tells which optional packages it lacks
    torch.set_num_threads(1)
    print(f"{'':<18} {'':<30} {'ms':>9} {'× peer':>7} {'spread':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, (network, inputs) in networks().items():
            source, file, target = (folder / each for each in ("a.onnx", "a.pt2", "b.pt2"))
            graph(network, inputs, source)
            exported(network, inputs, file)
            bring = converted(source, folder)
            bring()
            kept = folder / PROGRAM
            ratio = kept.stat().st_size / source.stat().st_size
            megabytes = source.stat().st_size / 2**20
            print(f"{title:<18} {f'bytes kept ÷ {megabytes:.1f} MB':<30} {'':>9} {ratio:>7.2f}")
            module = ExportedModule(program(kept), {}).eval()
            with torch.no_grad():
                torch.testing.assert_close(module(inputs), network(inputs), rtol=1e-4, atol=1e-5)
            pairs: dict[str, tuple[int, Callable[[], object], Callable[[], object]]] = {
                "forward ÷ onnxruntime": (1, forward(module, inputs), asked(source, inputs)),
                "forward ÷ live": (1, forward(module, inputs), forward(network, inputs)),
                "gradient ÷ live": (1, gradient(module, inputs), gradient(network, inputs)),
                "brought ÷ .pt2 brought": (3, bring, opened(file, target)),
            }
            for what, (rarer, ours, peer) in pairs.items():
                turns = [(seconds(ours), seconds(peer)) for _ in range(repeats // rarer + 1)][1:]
                ratios = [our / their for our, their in turns]
                spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
                taken = median(our for our, _ in turns) * 1e3
                print(f"{title:<18} {what:<30} {taken:>9.1f} {median(ratios):>7.2f} {spread:>12}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
