"""Attribution of texts against Captum on the padded batch, in one run.

    python -m tests.benchmarks.text

Eight sentences of 8 to 30 tokens on a BERT of MiniLM's size with random weights (built here, so
nothing is downloaded): Captum gets them the way its tutorials do, as one padded batch with its
mask; ours one after the other, each at its own length. Prints the ratio and the largest difference
of the values.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import FeatureAblation, LayerIntegratedGradients
from torch import Tensor, nn

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.text import TextAdapter
from core.models.tokenizer import Encoded
from core.progress import Meter
from core.tasks import Example, Task

ROWS, WIDTH, LAYERS, HEADS, HIDDEN = 30_522, 384, 6, 12, 1_536
PAD, START, END = 0, 101, 102
LENGTHS = (8, 10, 13, 16, 19, 22, 26, 30)
N_STEPS = 50


class Encoder(nn.Module):
    """A BERT-like classifier: ``forward(ids, mask)``, where no mask means no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ROWS, WIDTH)
        self.places = nn.Embedding(512, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.pool, self.dense = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.embedding(ids) + self.places(places))
        shown = None if mask is None else mask[:, None, None, :].bool()
        for block in self.blocks:
            x = block(x, shown)
        logits: Tensor = self.dense(self.pool(x[:, 0]).tanh())
        return logits


class Block(nn.Module):
    """Attention and perceptron, normalised after each."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dense1, self.dense2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        parts = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, attn_mask=mask)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).flatten(2)))
        result: Tensor = self.norm2(x + self.dense2(F.gelu(self.dense1(x))))
        return result


class Numbers:
    """Texts of numbers: each is the id of a token."""

    limit, pad, mask = 512, PAD, None

    def encode(self, text: str) -> Encoded:
        found = list(re.finditer(r"\S+", text))
        words = [match.group() for match in found]
        spans = [match.span() for match in found]
        ids = [int(word) if word.isdecimal() else 1_000 + len(word) for word in words]
        return Encoded(
            (START, *ids, END),
            ((0, 0), *spans, (len(text), len(text))),
            (True, *(False for _ in words), True),
            ("[CLS]", *words, "[SEP]"),
        )

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


def loaded() -> LoadedModel:
    """The classifier as any other model."""
    torch.manual_seed(0)
    card = ModelCard(
        "encoder", "encoder", Task.TEXT_CLASSIFICATION, "", "", ("a", "b", "c"), None,
        Path(), None, None, None, (), {},
    )  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    adapter: Any = TextAdapter(("a", "b", "c"), Numbers())
    module = Encoder().eval().to(device)
    return LoadedModel(ModelRef("encoder", "0" * 64), card, adapter, device, module)


def sentences() -> list[Example]:
    """Eight texts of ``LENGTHS`` tokens, the two special ones among them."""
    draw = np.random.default_rng(0)
    texts = []
    for length in LENGTHS:
        words = draw.choice(np.arange(10_000, ROWS), length - 2, replace=False)
        texts.append(" ".join(map(str, words)))
    return [Example(f"{len(text.split())}", text.encode()) for text in texts]


def measured(name: str, ours: Callable[[], Any], captums: Callable[[], Any], rounds: int) -> None:
    """Print the medians of alternating calls, their ratio, and how far the values are apart."""
    mine, theirs = ours(), captums()  # warm
    far = max(float(np.abs(a - b[: len(a)]).max()) for a, b in zip(mine, theirs, strict=True))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for place, call in enumerate((ours, captums)):
            started = time.perf_counter()
            call()
            times[place].append(time.perf_counter() - started)
    fast, slow = map(statistics.median, times)
    print(
        f"{name:24} ours {fast:7.3f} s   Captum {slow:7.3f} s   "
        f"{slow / fast:5.2f} times faster   largest difference {far:.1e}"
    )


def main(rounds: int = 3) -> None:
    """Both methods."""
    model, examples = loaded(), sentences()
    describe(model)
    device, net = model.device, model._module
    rows = [Numbers().encode(each.data.decode()).ids for each in examples]
    ids = torch.full((len(rows), max(LENGTHS)), PAD, device=device)
    for row, each in enumerate(rows):
        ids[row, : len(each)] = torch.tensor(each, device=device)
    mask = torch.arange(ids.shape[1], device=device) < torch.tensor(LENGTHS, device=device)[:, None]
    special = (ids == START) | (ids == END)
    baseline = torch.where(special, ids, torch.full_like(ids, PAD))

    def ours(method: str, **settings: Any) -> list[np.ndarray]:
        parameters = {"method": method, "target": "a", "settings": settings}
        return [each.values for each in attribute(model, examples, parameters, 0, Meter())]

    def gradients() -> list[np.ndarray]:
        method = LayerIntegratedGradients(net, net.embedding)
        values = method.attribute(
            ids, baseline, target=0, additional_forward_args=(mask,), n_steps=N_STEPS
        )
        return list(values.sum(-1).detach().cpu().numpy())

    def ablation() -> list[np.ndarray]:
        with torch.no_grad():
            values = FeatureAblation(net).attribute(
                ids, baseline, target=0, additional_forward_args=(mask,)
            )
        return list(values.float().cpu().numpy())

    print(f"{device}, {torch.get_num_threads()} threads, medians of {rounds}")
    measured(
        "integrated_gradients", lambda: ours("integrated_gradients", n_steps=N_STEPS), gradients,
        rounds,
    )  # fmt: skip
    measured("feature_ablation", lambda: ours("feature_ablation"), ablation, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
