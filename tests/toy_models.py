"""Small networks whose attributions are known or quick to compute, loaded the way real ones are.

An example's bytes are its features themselves, as float32, so that nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.adapter import Batch
from core.models.card import ImagePreprocessing, ModelCard
from core.models.image import BASELINES
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.tasks import AxisKind, Example, PixelGrid, Task

CLASSES = ("ant", "bee", "cat", "dog", "emu")


@dataclass(frozen=True)
class PixelAdapter:
    """Features ``[example, channel, row, column]`` straight from the bytes of the examples."""

    feature_shape: tuple[int, int, int]
    classes: tuple[str, ...] = CLASSES
    baselines: tuple[str, ...] = BASELINES
    cell: int = 4
    axis: AxisKind = "pixels"
    unit: str = "logits"
    depth: int = 1

    def encode(self, examples: Sequence[Example], model: Any) -> Batch:
        arrays = [np.frombuffer(each.data, np.float32) for each in examples]
        features = torch.from_numpy(np.stack(arrays)).reshape(-1, *self.feature_shape)
        grey = np.zeros((*self.feature_shape[1:], 3), np.uint8)
        count = len(examples)
        axes = (PixelGrid(*self.feature_shape),) * count
        names = tuple(each.name for each in examples)
        return Batch(features, (), axes, (grey,) * count, names, (self.classes,) * count)

    def batches(
        self, examples: Sequence[Example], model: Any
    ) -> list[tuple[tuple[int, ...], Batch]]:
        return [(tuple(range(len(examples))), self.encode(examples, model))]

    def typical(self, model: Any) -> Batch:
        noise = torch.randn(1, *self.feature_shape, generator=torch.Generator().manual_seed(0))
        axis = PixelGrid(*self.feature_shape)
        return Batch(noise, (), (axis,), (None,), ("noise",), (self.classes,))

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        output: Tensor = module(features, *context)
        return output

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        features = batch.features
        if kind == "image":
            assert other is not None
            return self.encode([other], None).features.expand_as(features).clone()
        level = {"zero": 0.0, "black": -0.5, "white": 1.5, "mean": 0.25, "blur": 0.125}
        if kind in level:
            return torch.full_like(features, level[kind])
        generator = torch.Generator().manual_seed(seed)
        draw = torch.rand if kind == "uniform" else torch.randn
        return draw(features.shape[1:], generator=generator).expand_as(features).clone()

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        _, height, width = self.feature_shape
        rows, columns = torch.arange(height) // self.cell, torch.arange(width) // self.cell
        ids = rows[:, None] * (-(-width // self.cell)) + columns
        return ids.expand(len(batch), 1, -1, -1).clone()

    def fold(self, values: Tensor, norm: bool = False) -> npt.NDArray[np.float32]:
        array: npt.NDArray[np.float32] = values.detach().float().cpu().numpy()
        return array


def load(module: nn.Module, shape: tuple[int, int, int], name: str = "toy") -> LoadedModel:
    """A loaded model around ``module`` for features of ``shape``."""
    card = ModelCard(
        name, name, Task.IMAGE_CLASSIFICATION, "", "", CLASSES,
        ImagePreprocessing(*shape, mean=(0.0,), std=(1.0,)),
        Path(), None, None, None, (), {},
    )  # fmt: skip
    adapter: Any = PixelAdapter(shape)
    return LoadedModel(ModelRef(name, "0" * 64), card, adapter, torch.device("cpu"), module.eval())


def example(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> Example:
    """Seeded noise as an example."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * scale
    return Example(f"noise-{seed}", values.tobytes())


def tensor(one: Example, shape: tuple[int, ...]) -> Tensor:
    """The features of an example, ``[1, …]``."""
    return torch.from_numpy(np.frombuffer(one.data, np.float32).copy()).reshape(1, *shape)


class Linear(nn.Module):
    """``logits = W·x + c``: every complete method must answer ``W·(x − b)``."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(36, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.flatten(x))
        return out


class PlainCNN(nn.Module):
    """Everything a module, everything used once: ReLU straight before max-pooling."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1, bias=bias)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=bias)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.AvgPool2d(2)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(72, len(CLASSES), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        out: Tensor = self.dense(self.flatten(x))
        return out


class ApartCNN(nn.Module):
    """ReLU modules that share no tensor with another rule: Captum is right as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(288, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu2(self.conv2(self.pool(self.relu1(self.conv1(x)))))
        out: Tensor = self.dense(self.flatten(x))
        return out


class GeluCNN(ApartCNN):
    """The same with GELU, which neither guided backprop, DeepLIFT nor LRP know."""

    def __init__(self) -> None:
        super().__init__()
        self.relu1, self.relu2 = nn.GELU(), nn.GELU()


class BranchingCNN(ApartCNN):
    """Functional ReLU behind control flow that depends on the data: it cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = self.pool(x if x.sum() > -1 else -x)
        out: Tensor = self.dense(self.flatten(F.relu(self.conv2(x))))
        return out


class ReusedCNN(ApartCNN):
    """One ReLU module for both places."""

    def __init__(self) -> None:
        super().__init__()
        del self.relu2

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv2(self.pool(self.relu1(self.conv1(x)))))
        out: Tensor = self.dense(self.flatten(x))
        return out


class ResidualBlock(nn.Module):
    """One ReLU module used twice and in place, as in torchvision's ResNet."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.conv1(x)))
        out += x
        result: Tensor = self.relu(out)
        return result


class ResidualCNN(nn.Module):
    """Functional, in-place and reused ReLU, functional pooling, and residual additions."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=bias)
        self.stage = nn.Sequential(ResidualBlock(6, bias), ResidualBlock(6, bias))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(6, len(CLASSES), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x), inplace=True), 2)
        out: Tensor = self.dense(torch.flatten(self.pool(self.stage(x)), 1))
        return out


class SmallViT(nn.Module):
    """Nine patches and a class token, GELU and scaled dot-product attention."""

    def __init__(self, width: int = 8, heads: int = 2, depth: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.places = nn.Parameter(torch.randn(1, 10, width) * 0.1)
        self.blocks = nn.ModuleList(ViTBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), patches], 1) + self.places
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.norm(x[:, 0]))
        return out


class ViTBlock(nn.Module):
    """Attention and perceptron, both added back."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense1, self.gelu, self.dense2 = (
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(count, tokens, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).reshape(count, tokens, width))
        update: Tensor = self.dense2(self.gelu(self.dense1(self.norm2(x))))
        return x + update


SHAPE = (3, 12, 12)
MAKERS: dict[str, Callable[[], nn.Module]] = {
    "plain": PlainCNN,
    "apart": ApartCNN,
    "gelu": GeluCNN,
    "branching": BranchingCNN,
    "reused": ReusedCNN,
    "residual": ResidualCNN,
    "vit": SmallViT,
}


def toy(name: str) -> LoadedModel:
    """A fresh loaded model by name, always with the same weights."""
    torch.manual_seed(7)
    module = MAKERS[name]()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)  # fresh weights hardly let anything through
    return load(module, SHAPE, name)


def linear() -> LoadedModel:
    """The linear model, over one channel of 6 × 6."""
    torch.manual_seed(7)
    return load(Linear(), (1, 6, 6), "linear")
