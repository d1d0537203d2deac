"""What a run leaves: the weights of its best epoch and the card that makes them a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.provenance import sha256, versions
from core.store import write_atomically
from core.training.recipe import recipe
from core.training.run import Run

if TYPE_CHECKING:
    from torch import nn

    from core.training.trainable import Trainable

WEIGHTS, CARD = "model.safetensors", "card.json"


def keep(run: Run, module: nn.Module) -> None:
    """Write the weights as they are as the run's model."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
    write_atomically(run.folder / WEIGHTS, save(tensors))


@contextmanager
def restored(run: Run, module: nn.Module) -> Iterator[None]:
    """Inside, ``module`` has the weights of the run's model; afterwards its own again."""
    from safetensors.torch import load_file

    own = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(load_file(run.folder / WEIGHTS))
    try:
        yield
    finally:
        module.load_state_dict(own)


def write_card(
    run: Run,
    trainable: Trainable,
    about: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, float]],
    device: str,
) -> None:
    """Write ``card.json``: what the trainable says of itself (``about``), and what was measured.

    ``metrics`` has those of ``val`` and ``test``, as far as there are such parts.
    """
    from torch import get_num_threads

    declared = recipe(run.config.recipe)
    status = run.status
    card = {
        "name": f"run:{run.name}",
        "title": declared.title,
        "task": str(declared.task),
        "summary": declared.summary,
        "recipe": declared.name,
        "factory": declared.factory,
        "weights": WEIGHTS,
        **({"tokenizer": declared.tokenizer} if declared.tokenizer else {}),
        **about,
        "training": {
            "command": command(run),
            "settings": dict(run.config.settings),
            "seconds": round(status.seconds, 1),
            "device": device,
            "threads": get_num_threads(),
            "epochs": status.epoch,
            "best_epoch": status.best_epoch,
            "seed": run.config.seed,
            "versions": dict(versions()),
        },
        "parameters": sum(p.numel() for p in trainable.module.parameters()),
        "weights_sha256": sha256((run.folder / WEIGHTS).read_bytes()),
    }
    for split in ("val", "test"):  # the last one there is counts
        if split in metrics:
            card["metrics"] = card_metrics(metrics[split], trainable.classes, split) | {
                "n": len(trainable.splits[split])
            }
    if "val" in metrics:
        card["validation"] = {k: v for k, v in metrics["val"].items() if "/" not in k}
    data = json.dumps(card, ensure_ascii=False, indent=1).encode()
    write_atomically(run.folder / CARD, data, mode=0o644)


def card_metrics(
    found: Mapping[str, float], classes: tuple[str, ...], split: str
) -> dict[str, Any]:
    """Metrics as cards hold them: those of the whole, and a row per class."""
    whole: dict[str, Any] = {"split": split}
    whole |= {name: value for name, value in found.items() if "/" not in name}
    if any(f"f1/{label}" in found for label in classes):
        kinds = ("precision", "recall", "f1")
        whole["per_class"] = [
            {"class": label, **{kind: found[f"{kind}/{label}"] for kind in kinds}}
            for label in classes
        ]
    return whole


def command(run: Run) -> str:
    """The command that trains the same again."""
    declared = recipe(run.config.recipe)
    usual = {parameter.name: parameter.default for parameter in declared.declared}
    parts = [f"fluoroscope train {declared.name}"]
    if run.config.data:
        parts.append(f"--data {Path(run.config.data).name}")
    settings = run.config.settings.items()
    changed = {k: v for k, v in settings if v != usual[k] or k in declared.sweep}
    parts += [f"--set {name}={value}" for name, value in changed.items()]
    return " ".join([*parts, f"--seed {run.config.seed}"])
