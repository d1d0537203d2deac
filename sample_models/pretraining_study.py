"""What pre-training without labels is worth: few labels, five seeds, and pictures never seen.

    python -m sample_models.pretraining_study RUN [--labels 0.01] [--seeds 5]

``RUN`` is the folder of a run of ``masked_pretraining`` or ``denoising_pretraining``. Writes
``study`` into its card: accuracy on the test pictures of a classifier on the run's encoder and of
the same classifier from random weights, for each seed, trained on the same labelled pictures in the
same way (of the learning rates in ``RATES`` each gets its best, by the validation pictures of a
draw of its own); and how well the run tells the other kind of pictures, clothing or digits, from
its own by how badly it restores them (area under the ROC curve).
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.parameters import Value
from core.training.order import number, seed_all
from core.training.run import Run
from sample_models import data
from sample_models.augmentation import Augmentation, augment
from sample_models.autoencoder import Autoencoder, anomaly_score, encoder

EPOCHS, BATCH, RATES = 60, 32, (1e-3, 2e-3, 4e-3)
_VARIED = {
    "digits": Augmentation(rotate=10, shift=2, scale=0.1),
    "clothing": Augmentation(mirror=True, shift=2),
}
_TUNED_ON = 1_000  # the seed of the draw that learning rates are chosen on


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description="Measure what pre-training is worth.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--labels", type=float, default=0.01, help="share of the labels")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    run = Run.open(options.run)
    network = Autoencoder()
    network.load_state_dict(load_file(run.folder / "model.safetensors"))
    kinds = {"digits": data.digits(), "clothing": data.fashion()}
    known = kinds.pop(kind := str(run.config.settings["pictures"]))
    (strange,) = kinds.values()
    found = few_labels(network.encoder, known, _VARIED[kind], options.labels, options.seeds)
    found["anomaly_auroc"] = anomaly_auroc(
        network.eval(), run.config.settings, known.test, strange.test
    )
    found["command"] = "python -m sample_models.pretraining_study RUN"
    card = json.loads((run.folder / "card.json").read_text(encoding="utf-8"))
    run.write("card.json", card | {"study": found})
    print(json.dumps(found, indent=1))


def few_labels(
    known: nn.Module, parts: data.Splits, varied: Augmentation, share: float, seeds: int
) -> dict[str, Any]:
    """Test accuracy with and without the encoder ``known``, for each seed."""
    arms = {"pretrained": known, "scratch": None}
    few = drawn(parts.train, share, _TUNED_ON)
    tuned = {
        name: {
            rate: accuracy(arm, few, parts.validation, varied, rate, _TUNED_ON) for rate in RATES
        }
        for name, arm in arms.items()
    }
    rates = {name: max(each, key=lambda rate: each[rate]) for name, each in tuned.items()}
    rows: list[dict[str, float]] = []
    for seed in range(seeds):
        few = drawn(parts.train, share, seed)
        row = {
            name: accuracy(arm, few, parts.test, varied, rates[name], seed)
            for name, arm in arms.items()
        }
        rows.append({"seed": seed, **row})
        print(rows[-1], flush=True)
    margins = np.array([row["pretrained"] - row["scratch"] for row in rows])
    return {
        "labels": len(few),
        "learning_rate": rates,
        "seeds": rows,
        "margin": float(margins.mean()),
        "margin_deviation": float(margins.std(ddof=1)) if len(margins) > 1 else None,
        "better_in": int((margins > 0).sum()),
    }


def drawn(images: data.Images, share: float, seed: int) -> data.Images:
    """A share of the pictures, the same number of each class, at random."""
    random = np.random.default_rng(seed)
    classes = np.unique(images.labels)
    each = max(1, round(share * len(images) / len(classes)))
    places = [random.choice(np.flatnonzero(images.labels == c), each, False) for c in classes]
    return images.take(np.concatenate(places))


def accuracy(
    known: nn.Module | None,
    few: data.Images,
    held_out: data.Images,
    varied: Augmentation,
    rate: float,
    seed: int,
) -> float:
    """Of a classifier on a copy of the encoder ``known``, or on a new one, trained on ``few``. All
    but the encoder's weights is the same for both.
    """
    seed_all(number(seed, "encoder", 0))
    body = encoder() if known is None else copy.deepcopy(known)
    seed_all(number(seed, "head", 0))
    head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 7 * 7, 10))
    model = nn.Sequential(body, head)
    chance = torch.Generator().manual_seed(seed)
    pictures, labels = tensors(few)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    steps = EPOCHS * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    for _ in range(EPOCHS):
        for places in torch.randperm(len(labels), generator=chance).split(BATCH):
            seen = augment(pictures[places], varied, chance)
            loss = F.cross_entropy(model(seen), labels[places])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    pictures, labels = tensors(held_out)
    with torch.no_grad():
        said = torch.cat([model(part).argmax(dim=1) for part in pictures.split(500)])
    return float((said == labels).double().mean())


def anomaly_auroc(
    network: nn.Module, settings: Mapping[str, Value], known: data.Images, strange: data.Images
) -> float:
    """How well the anomaly score tells strange pictures from those of the kind that the network
    learned from: 0.5 is chance, 1 is always.
    """
    from sklearn.metrics import roc_auc_score

    scores = [scores_of(network, settings, part) for part in (known, strange)]
    truth = np.repeat([0, 1], [len(part) for part in scores])
    return float(roc_auc_score(truth, np.concatenate(scores)))


def scores_of(
    network: nn.Module, settings: Mapping[str, Value], images: data.Images
) -> npt.NDArray[np.float32]:
    """Anomaly score of each picture."""
    parts = enumerate(tensors(images)[0].split(500))
    with torch.no_grad():
        scores = [anomaly_score(network, part, settings, seed) for seed, part in parts]
    return torch.cat(scores).numpy()


def tensors(images: data.Images) -> tuple[Tensor, Tensor]:
    """Pictures ``[n, 1, 28, 28]`` in 0..1 and labels ``[n]``."""
    pictures = torch.from_numpy(images.images).unsqueeze(1).float().div(255)
    return pictures, torch.from_numpy(images.labels).long()


if __name__ == "__main__":
    main()
