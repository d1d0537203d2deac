"""What watching attention costs, in one run.

    python -m tests.benchmarks.attention

A BERT-like classifier of 12 layers × 12 heads on ``scaled_dot_product_attention`` with random
weights (built here, so nothing is downloaded), in eval mode without gradients: a plain forward,
one layer watched, all layers watched and kept; interleaved, medians. Then the overview of all 144
heads over 512 tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attention.capture import watched
from core.attention.compute import attention_layers, attention_overview
from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.text import TextAdapter
from core.models.tokenizer import Encoded
from core.progress import Meter
from core.tasks import Example, Task

ROWS, WIDTH, LAYERS, HEADS, HIDDEN = 1_000, 768, 12, 12, 3_072


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dense1, self.dense2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], HEADS, -1)
        heads = [part(x).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value)]
        mixed = F.scaled_dot_product_attention(*heads)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).reshape(x.shape)))
        return self.norm2(x + self.dense2(F.gelu(self.dense1(x))))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(ROWS, WIDTH), nn.Embedding(512, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.dense = nn.Linear(WIDTH, 3)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.dense(x.mean(dim=1))
        return logits


class Words:
    """A token for every word."""

    limit: int | None = 512
    pad: int | None = 0
    mask: int | None = None

    def encode(self, text: str) -> Encoded:
        words = text.split(" ")
        ends = [len(" ".join(words[: place + 1])) for place in range(len(words))]
        spans = tuple((end - len(word), end) for word, end in zip(words, ends, strict=True))
        ids = tuple(1 + sum(map(ord, word)) % (ROWS - 1) for word in words)
        return Encoded(ids, spans, (False,) * len(words), tuple(words))

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def text(words: int) -> Example:
    return Example("text", " ".join(f"word{place}" for place in range(words)).encode())


def median_seconds(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    card = ModelCard(
        "b", "b", Task.TEXT_CLASSIFICATION, "", "", ("a", "b", "c"), None,
        Path(), None, None, None, (), {},
    )  # fmt: skip
    adapter = TextAdapter(("a", "b", "c"), Words())
    module = Encoder().eval().to(device)
    model = LoadedModel(ModelRef("b", "0" * 64), card, adapter, device, module)
    layers = attention_layers(model)
    for words, rounds in ((32, 25), (128, 15), (512, 5)):
        batch = adapter.encode([text(words)], model)

        def forward() -> None:
            with torch.no_grad():
                adapter.logits(module, batch.features, *batch.context)  # noqa: B023 - called at once
            if device.type == "cuda":
                torch.cuda.synchronize()

        def watching(names: set[str] | None) -> Callable[[], None]:
            def run() -> None:
                with watched(module, 1, lambda layer, weights: weights, wanted=names, known=layers):
                    forward()

            return run

        ways: dict[str, Callable[[], object]] = {
            "plain": forward,
            "one layer": watching({layers[6].name}),
            "all layers": watching(None),
        }
        seconds = median_seconds(ways, rounds)
        plain = statistics.median(seconds["plain"])
        for name, each in seconds.items():
            ratio = statistics.median(
                one / other for one, other in zip(each, seconds["plain"], strict=True)
            )
            print(
                f"{words} tokens, {name}: {statistics.median(each) * 1e3:.1f} ms, "
                f"{ratio:.3f} × a plain forward"
            )
    started = time.perf_counter()
    (overview,) = attention_overview(model, [text(512)], {}, 0, Meter())
    whole = time.perf_counter() - started
    size = sum(each.nbytes for each in overview.thumbnails)
    print(
        f"overview of {sum(layer.heads for layer in overview.layers)} heads × 512 tokens: "
        f"{whole:.2f} s, {whole - plain:.2f} s more than a plain forward, {size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
