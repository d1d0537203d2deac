"""What capturing costs, in one run.

    python -m tests.benchmarks.capture

A residual network of 18 layers on 224 × 224 pixels and a Transformer encoder of 6 layers on 128
tokens, both with random weights, and the shipped digits: all layers in float16 straight to disk
against the same examples read, encoded and put through the network, interleaved, medians of ratios.
Writing goes on in a second thread: where no processor is free for it, the ratio of the processor
time of the first thread says what is left on a quiet machine. Then 200 rows of a large layer read
back, against
``numpy.load(mmap_mode="r")`` and the same rows.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.activations.capture import capture
from core.data.dataset import Dataset, dataset
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load as load_shipped
from core.models.loader import placed
from core.results.activations import Pool, open_capture
from core.tasks import Example
from tests.toy_models import CLASSES, load

ROUNDS = 5


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            convolution = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(inner + self.shortcut(x))
        return out


class ResNet18(nn.Sequential):
    def __init__(self) -> None:
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        pairs = itertools.pairwise(widths)
        super().__init__(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *(Block(before, after, 1 + (before < after)) for before, after in pairs),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, len(CLASSES)),
        )


class Encoder(nn.Module):
    """Features ``[example, 1, token, width]``."""

    def __init__(self, width: int = 256, layers: int = 6) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.dense = nn.Linear(width, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.encoder(x.squeeze(1)).mean(dim=1))
        return out


def noise(shape: tuple[int, ...], count: int) -> Dataset:
    """Examples whose bytes are their features."""
    size = int(np.prod(shape))
    pool = np.random.default_rng(0).standard_normal(size + count).astype(np.float32)

    def read(row: int) -> Example:
        return Example(str(row), pool[row : row + size].tobytes())

    return Dataset("noise", [str(row) for row in range(count)], read, "0" * 64)


def plain(model: LoadedModel, data: Dataset, together: int) -> None:
    """A pass without capturing."""
    for _, examples in data.batches(together):
        for _, batch in model.adapter.batches(examples, model):
            with model.exclusive() as module, torch.no_grad():
                model.adapter.logits(module, batch.features, *batch.context)


def taken(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of processor time of this thread."""
    started, worked = time.perf_counter(), time.thread_time()
    way()
    return time.perf_counter() - started, time.thread_time() - worked


def captured(model: LoadedModel, data: Dataset, folder: Path, pool: Pool) -> tuple[float, float]:
    shutil.rmtree(folder, ignore_errors=True)
    return taken(lambda: capture(model, data, folder, pool=pool))


def compare(name: str, model: LoadedModel, data: Dataset, root: Path) -> None:
    for pool in ("mean", "whole"):
        folder = root / f"{name}-{pool}"
        captured(model, data, folder, pool)
        made = open_capture(folder)
        together = int(_manifest(folder)["together"])
        pairs = []
        for _ in range(ROUNDS):
            without = taken(lambda: plain(model, data, together))  # noqa: B023 - called at once
            pairs.append((captured(model, data, folder, pool), without))
        ratios = [
            statistics.median(with_it[i] / without[i] for with_it, without in pairs) for i in (0, 1)
        ]
        size = sum(path.stat().st_size for path in folder.glob("[0-9]*.npy"))
        print(
            f"{name}, {len(made.layers)} layers, {pool}, float16, {len(data)} examples: "
            f"{ratios[0]:.3f} × a plain pass, {ratios[1]:.3f} × its processor time, "
            f"{size / 1e6:.0f} MB written"
        )


def rows_back(folder: Path) -> None:
    """200 random rows by the capture, opened anew, and by numpy alone."""
    made = open_capture(folder)
    about = max(made.layers, key=lambda each: np.prod(each.shape))
    rows = np.sort(np.random.default_rng(0).choice(len(made), min(200, len(made)), replace=False))
    ways: dict[str, Callable[[], Any]] = {
        "capture": lambda: open_capture(folder).layer(about.name)[rows],
        "numpy": lambda: np.load(folder / about.file, mmap_mode="r")[rows],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(20):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    one, other = (statistics.median(each) for each in seconds.values())
    print(
        f"{len(rows)} rows of {about.name} {about.shape} back: {one * 1e3:.2f} ms, "
        f"{one / other:.2f} × numpy's memmap"
    )


def _manifest(folder: Path) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads((folder / "capture.json").read_bytes())
    return found


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        image = load(ResNet18(), (3, 224, 224))
        placed(image._module, torch.device("cpu"))
        compare("resnet18", image, noise((3, 224, 224), 64), root)
        tokens = load(Encoder(), (1, 128, 256))
        compare("encoder", tokens, noise((1, 128, 256), 256), root)
        digits = load_shipped(reference("digits_cnn"))
        compare("digits_cnn", digits, dataset(card("digits_cnn")), root)
        rows_back(root / "digits_cnn-whole")
        rows_back(root / "digits_cnn-mean")


if __name__ == "__main__":
    main()
