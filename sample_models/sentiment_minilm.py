"""A trained head on a pretrained encoder: whether a sentence speaks well or ill of something.

Ids ``[example, token]`` to logits ``[example, class]``: a linear layer over the unit vector that
MiniLM (see ``minilm``) has for the sentence. The encoder stays as it is; only the layer has
learned, by logistic regression on the rated sentences that ``sentiment`` is trained on, with the
strength of its regularisation as the validation part likes it best.

    python -m sample_models.sentiment_minilm     writes weights/sentiment_minilm/ (minutes)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.errors import BadModel
from sample_models.minilm import about_encoder, encode, encoder, evaluate, meaning

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NAME = "sentiment_minilm"
FOLDER = Path(__file__).parent / "weights" / NAME
STRENGTHS = (0.3, 1.0, 3.0, 10.0)  # C: the inverse of the penalty


class Judge(nn.Module):
    """An encoder of transformers, and a linear layer over what it takes a sentence to mean."""

    def __init__(self, reader: nn.Module, dense: nn.Linear) -> None:
        super().__init__()
        self.encoder = reader
        self.dense = dense

    def get_input_embeddings(self) -> nn.Module:
        """The part that turns ids of tokens into vectors."""
        embeddings: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]
        return embeddings

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.dense(meaning(self.encoder, ids))
        return logits


def build(head_sha256: str) -> Judge:
    """The pretrained encoder with the trained head.

    Raises ``BadModel`` when the head is not the one that the card speaks of.
    """
    from safetensors.torch import load

    data = (FOLDER / "head.safetensors").read_bytes()
    if hashlib.sha256(data).hexdigest() != head_sha256:
        raise BadModel(
            "The head of 'sentiment_minilm' is not the one that its card speaks of.",
            "Install Fluoroscope again.",
        )
    weights = load(data)
    classes, width = weights["weight"].shape
    dense = nn.Linear(width, classes)
    dense.load_state_dict(weights)
    return Judge(encoder(), dense).eval()


def vectors(texts: Sequence[str]) -> Tensor:
    """Unit vectors ``[text, width]`` of what texts mean."""
    reader = encoder()
    with torch.inference_mode():
        return torch.cat([meaning(reader, torch.tensor([ids])) for ids in encode(texts)])


def fit(
    train: tuple[Tensor, Sequence[int]], val: tuple[Tensor, Sequence[int]]
) -> tuple[LogisticRegression, float]:
    """The head that validation likes best, and its strength ``C``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    tried: list[tuple[float, float, LogisticRegression]] = []
    for strength in STRENGTHS:
        head = LogisticRegression(C=strength, max_iter=2000).fit(train[0].numpy(), train[1])
        score = float(f1_score(val[1], head.predict(val[0].numpy()), average="macro"))
        tried.append((score, strength, head))
    _, strength, head = max(tried, key=lambda each: each[0])
    return head, strength


def write() -> Path:
    """Train the head, measure it on the test sentences, and write both files."""
    from safetensors.torch import save

    from sample_models.baselines import recorded
    from sample_models.reviews import CLASSES, sentence_parts
    from sample_models.sentiment_training import RATED
    from sample_models.text_training import Texts, Vocabulary

    parts = sentence_parts()
    head, strength = fit(*((vectors(parts[n][0]), parts[n][1]) for n in ("train", "val")))
    weights = {
        "weight": torch.from_numpy(head.coef_).float().contiguous(),
        "bias": torch.from_numpy(head.intercept_).float(),
    }
    data = save(weights)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "head.safetensors").write_bytes(data)
    arguments: dict[str, Any] = {"head_sha256": hashlib.sha256(data).hexdigest()}
    network = build(**arguments)
    splits = {name: Texts(*part, Vocabulary(())) for name, part in parts.items()}
    card = {
        "name": NAME,
        "title": "Good or bad words (MiniLM and a head)",
        "summary": (
            "Says whether a sentence speaks well or ill of something, with a general encoder of "
            "English that stays as it is and one linear layer that learned from rated sentences: "
            f"logistic regression, C {strength:g}. A little better than TF-IDF with a linear model "
            "and than the small Transformer trained from nothing, on the same sentences; the "
            "encoder knows topics better than moods, so some complaints pass for praise."
        ),
        "factory": f"sample_models.{NAME}:build",
        "arguments": arguments,
        "classes": list(CLASSES),
        "data": {
            **RATED,
            "split": {name: len(part) for name, part in splits.items()},
            "sha256": {name: part.fingerprint() for name, part in splits.items()},
        },
        "baseline": recorded("sentiment", splits),
        "metrics": evaluate(network, *parts["test"], CLASSES),
        "parameters": sum(p.numel() for p in network.parameters()),
        **about_encoder(),
    }
    path = FOLDER / "card.json"
    path.write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write())
