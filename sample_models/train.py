"""Train a sample model and write everything that Fluoroscope shows of it.

    python -m sample_models.train digits_cnn [--epochs N] [--seed 0] [--device auto] [--out DIR]

Writes into ``weights/<name>/``: ``model.safetensors``, ``card.json``, ``heldout.npz`` (1,000 test
examples: images ``uint8 [n, 28, 28]``, labels ``uint8 [n]``) and ``history.json`` (one entry per
epoch). The epoch with the lowest validation loss is kept; the test images are looked at once, at
the end. Every number in the card is measured here.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from sample_models import data
from sample_models.recipe import Augmentation, Recipe

HELD_OUT = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a sample model.")
    parser.add_argument("name", choices=["digits_cnn", "fashion_cnn", "fashion_vit"])
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--data", type=Path, help="folder that holds the data")
    parser.add_argument("--out", type=Path, help="where to write (default: weights/<name>)")
    options = parser.parse_args()

    module = importlib.import_module(f"sample_models.{options.name}")
    recipe: Recipe = module.RECIPE
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    splits = getattr(data, recipe.data)(options.data)
    out = options.out or Path(__file__).parent / "weights" / recipe.name
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(options.seed)
    device = pick_device(options.device)
    model: nn.Module = module.build().to(device)
    history, seconds = fit(model, recipe, splits, device)
    write(out, model, recipe, splits, history, seconds, options.seed, device)


def pick_device(wanted: str) -> torch.device:
    """The device of that name, or for ``auto`` the fastest kind there is."""
    if wanted != "auto":
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def fit(
    model: nn.Module, recipe: Recipe, splits: data.Splits, device: torch.device
) -> tuple[list[dict[str, float]], float]:
    """Train ``model`` in place, leaving it with its best weights; the history and the seconds."""
    images, labels = on_device(splits.train, device)
    mean, std = pixel_statistics(splits.train)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = math.ceil(len(images) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.learning_rate, total_steps=steps * recipe.epochs
    )
    history: list[dict[str, float]] = []
    best = copy.deepcopy(model.state_dict())
    started = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        train_loss = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        for batch in torch.split(torch.randperm(len(images), device=device), recipe.batch_size):
            x, y = augment(images[batch].float().div(255), recipe.augmentation), labels[batch]
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = model((x - mean) / std)
                loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimiser.step()
            schedule.step()
            train_loss += loss.detach() * len(batch)
            correct += (logits.detach().argmax(dim=1) == y).sum()

        validation_logits = predict(model, splits.validation, mean, std, device)
        targets = torch.from_numpy(splits.validation.labels).long()
        row = {
            "epoch": epoch,
            "train_loss": float(train_loss) / len(images),
            "train_accuracy": float(correct) / len(images),
            "validation_loss": float(F.cross_entropy(validation_logits, targets)),
            "validation_accuracy": float((validation_logits.argmax(1) == targets).float().mean()),
            "learning_rate": float(schedule.get_last_lr()[0]),
            "seconds": time.perf_counter() - started,
        }
        if row["validation_loss"] <= min((h["validation_loss"] for h in history), default=math.inf):
            best = copy.deepcopy(model.state_dict())
        history.append(row)
        print(
            f"epoch {epoch:2d}/{recipe.epochs}  train loss {row['train_loss']:.4f} "
            f"accuracy {row['train_accuracy']:.4f}  validation loss {row['validation_loss']:.4f} "
            f"accuracy {row['validation_accuracy']:.4f}  {row['seconds']:.0f} s",
            flush=True,
        )
    model.load_state_dict(best)
    return history, time.perf_counter() - started


def augment(images: torch.Tensor, by: Augmentation) -> torch.Tensor:
    """Vary each image ``[n, 1, 28, 28]`` in 0..1 on its own; what moves in from outside is dark."""
    n, _, height, _ = images.shape

    def uniform(bound: float) -> torch.Tensor:
        return torch.empty(n, device=images.device).uniform_(-bound, bound)

    if by.stroke:
        thicker = F.max_pool2d(images, kernel_size=3, stride=1, padding=1)
        thinner = -F.max_pool2d(-images, kernel_size=3, stride=1, padding=1)
        amount = uniform(by.stroke).view(n, 1, 1, 1)
        images = images.lerp(thicker, amount.clamp(min=0)).lerp(thinner, (-amount).clamp(min=0))
    angle, shear = torch.deg2rad(uniform(by.rotate)), torch.tan(torch.deg2rad(uniform(by.shear)))
    width_scale, height_scale = 1 + uniform(by.scale), 1 + uniform(by.scale)
    if by.mirror:
        width_scale = width_scale * (torch.rand(n, device=images.device) - 0.5).sign()
    cosine, sine = torch.cos(angle), torch.sin(angle)
    shift = 2 * by.shift / height
    rows = [
        cosine * width_scale, (shear * cosine - sine) * height_scale, uniform(shift),
        sine * width_scale, (shear * sine + cosine) * height_scale, uniform(shift),
    ]  # fmt: skip
    theta = torch.stack(rows, dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def predict(
    model: nn.Module, part: data.Images, mean: float, std: float, device: torch.device
) -> torch.Tensor:
    """Logits ``[n, classes]`` on the CPU."""
    model.eval()
    images, _ = on_device(part, device)
    with torch.no_grad():
        logits = [model((x.float().div(255) - mean) / std) for x in torch.split(images, 500)]
    return torch.cat(logits).float().cpu()


def on_device(part: data.Images, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``uint8 [n, 1, 28, 28]`` and labels ``int64 [n]``, all in the device's memory."""
    images = torch.from_numpy(part.images).unsqueeze(1).to(device)
    return images, torch.from_numpy(part.labels).long().to(device)


def pixel_statistics(part: data.Images) -> tuple[float, float]:
    """Mean and standard deviation of all pixels, in units of 0..1."""
    return float(part.images.mean() / 255), float(part.images.std() / 255)


def measure(labels: data.Bytes, predicted: data.Bytes, classes: tuple[str, ...]) -> dict[str, Any]:
    """The metrics of a card: fractions in 0..1, over all classes and per class."""
    from sklearn.metrics import classification_report

    report = classification_report(
        labels, predicted, labels=range(len(classes)), target_names=classes, output_dict=True
    )
    return {
        "split": "test",
        "n": len(labels),
        "accuracy": float((labels == predicted).mean()),
        **{f"{k}_macro": report["macro avg"][v] for k, v in SKLEARN_NAMES.items()},
        "per_class": [
            {
                "class": name,
                **{k: report[name][v] for k, v in SKLEARN_NAMES.items()},
                "support": int(report[name]["support"]),
            }
            for name in classes
        ],
    }


SKLEARN_NAMES = {"precision": "precision", "recall": "recall", "f1": "f1-score"}


def write(
    out: Path,
    model: nn.Module,
    recipe: Recipe,
    splits: data.Splits,
    history: list[dict[str, float]],
    seconds: float,
    seed: int,
    device: torch.device,
) -> None:
    """Measure on the test images and write weights, card, history and held-out examples."""
    mean, std = pixel_statistics(splits.train)
    predicted = predict(model, splits.test, mean, std, device).argmax(dim=1).numpy()
    metrics = measure(splits.test.labels, predicted, splits.classes)
    heldout = data.sample(splits.test, HELD_OUT)
    weights = save({k: v.cpu().contiguous() for k, v in model.state_dict().items()})
    card = {
        "name": recipe.name,
        "title": recipe.title,
        "task": "image-classification",
        "summary": recipe.summary,
        "factory": f"sample_models.{recipe.name}:build",
        "weights": "model.safetensors",
        "extra": None,
        "modules_needed": [],
        "classes": list(splits.classes),
        "preprocessing": {
            "channels": 1,
            "height": 28,
            "width": 28,
            "mean": [mean],
            "std": [std],
            "fit": "glyph",
            "box": recipe.box,
            "background": "dark",
        },
        "data": {
            "name": splits.name,
            "source": splits.source,
            "licence": splits.licence,
            "split": {
                "train": len(splits.train),
                "validation": len(splits.validation),
                "test": len(splits.test),
            },
            "note": splits.note,
            "sha256": {
                "train": splits.train.fingerprint(),
                "validation": splits.validation.fingerprint(),
                "test": splits.test.fingerprint(),
            },
        },
        "metrics": metrics,
        "training": {
            "command": f"python -m sample_models.train {recipe.name} "
            f"--epochs {recipe.epochs} --seed {seed}",
            "seconds": round(seconds, 1),
            "device": device.type,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "optimiser": "AdamW, one-cycle",
            "learning_rate": recipe.learning_rate,
            "seed": seed,
            "versions": {"torch": torch.__version__},
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "licence": "Apache-2.0",
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (out / "model.safetensors").write_bytes(weights)
    write_json(out / "card.json", card)
    write_json(out / "history.json", history)
    np.savez_compressed(out / "heldout.npz", images=heldout.images, labels=heldout.labels)
    print(f"test accuracy {metrics['accuracy']:.4f} on {metrics['n']} images, written to {out}")


def write_json(path: Path, value: object) -> None:
    """Write readable UTF-8 JSON with a final newline."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
