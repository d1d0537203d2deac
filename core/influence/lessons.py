"""What a run learned from, as Captum wants to see it: examples by their places, logits out."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.table import Feature, features_from
from core.errors import BadInput, NotValid
from core.models.adapter import Adapter, Batch
from core.models.card import ModelCard
from core.models.catalogue import resolve
from core.progress import Meter
from core.tasks import Example
from core.training.recipe import recipe
from core.training.run import Run
from core.training.trainable import Trainable

ASKED = -1  # the place that stands for the example that is asked about
_TOGETHER = 256
_SAME = 1e-3


def trainable(run: Run) -> Trainable:
    """The network of a run with its data and its loss, made as when it was trained.

    Raises ``BadInput`` when its data are not to be had or are others by now, ``NotValid`` when it
    learned no classes.
    """
    config = run.config
    made: Trainable = resolve(recipe(config.recipe).make)(
        config.settings, _path(config.data), config.seed
    )
    if not made.classes or "train" not in made.splits:
        raise NotValid(
            f"The run '{run.name}' learned no classes.", "Choose a run that sorts examples."
        )
    then = run.facts.get("fingerprints", {}).get("train")
    if then and made.splits["train"].fingerprint() != then:
        raise BadInput(
            f"The training data of '{run.name}' are not on this machine any more: those found here "
            "differ from what it learned from.",
            "Put the old data back, train again, or look at examples that are alike.",
        )
    return made


class Lessons(nn.Module):
    """The network of a run: places of training examples ``[example]`` → logits ``[example,
    class]``. The place ``ASKED`` is the example that is asked about. Every pass ticks the meter.
    """

    def __init__(
        self,
        made: Trainable,
        adapter: Adapter,
        asked: Batch | None,
        device: torch.device,
        meter: Meter,
    ) -> None:
        super().__init__()
        self.network = made.module.to(device).eval()
        self._made, self._adapter, self._asked = made, adapter, asked
        self._device, self._meter = device, meter

    def forward(self, places: Tensor) -> Tensor:
        """Logits; one call is for training examples, or for the one that is asked about."""
        self._meter.tick(len(places))
        if self._asked is not None and int(places[0]) == ASKED:
            return self.said(self._asked)
        logits: Tensor = self.answer(places).logits
        return logits

    def said(self, batch: Batch) -> Tensor:
        """Logits of an example as the model reads it; of texts by their ids, since embeddings
        differ from checkpoint to checkpoint.
        """
        if self._adapter.axis == "tokens":
            output: Tensor = self.network(*batch.context)
            return output
        return self._adapter.logits(self.network, batch.features)

    def answer(self, places: Tensor) -> Any:
        """What the run itself says of some training examples."""
        batch = self._made.splits["train"].__getitems__(places.tolist())
        return self._made.answer(self.network, _to(batch, self._device))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights."""
        self.network.load_state_dict(dict(weights))


@dataclass(frozen=True)
class Told:
    """What training examples are and what the network says of them, int64 ``[example]``; whether
    the run's own loss is cross-entropy.
    """

    labels: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    by_cross_entropy: bool


@torch.no_grad()
def told(lessons: Lessons, places: npt.NDArray[np.int64], meter: Meter) -> Told:
    """Look at training examples once."""
    labels, answers, same = [], [], True
    for start in range(0, len(places), _TOGETHER):
        part = torch.from_numpy(places[start : start + _TOGETHER])
        meter.tick(len(part))
        answer = lessons.answer(part)
        if answer.logits is None or answer.labels is None:
            raise NotValid("The run learned no classes.", "Choose a run that sorts examples.")
        loss = F.cross_entropy(answer.logits.float(), answer.labels)
        same &= abs(float(loss - answer.loss)) <= _SAME * max(1.0, abs(float(loss)))
        labels.append(answer.labels.cpu().numpy())
        answers.append(answer.logits.argmax(dim=1).cpu().numpy())
    return Told(np.concatenate(labels), np.concatenate(answers), same)


def final_layer(lessons: Lessons, place: Tensor) -> nn.Linear | None:
    """The dense layer whose output is the logits themselves; None if the network ends otherwise."""
    seen: list[tuple[nn.Linear, Tensor]] = []

    def heard(layer: nn.Linear, args: Any, output: Tensor) -> None:
        seen.append((layer, output))

    hooks = [
        part.register_forward_hook(heard)
        for part in lessons.network.modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        with torch.no_grad():
            logits = lessons(place)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen or seen[-1][1].shape != logits.shape or not torch.equal(seen[-1][1], logits):
        return None
    return seen[-1][0]


def shown(made: Trainable, about: ModelCard, places: Sequence[int]) -> tuple[Example, ...]:
    """Training examples as a person would give them: a PNG file, a text, a row as JSON.

    Raises ``NotValid`` where the run's data cannot be shown.
    """
    split: Any = made.splits["train"]
    names = [f"training example {place + 1}" for place in places]
    texts = getattr(split, "texts", None)
    if texts is not None:
        return tuple(
            Example(name, (texts[place] or " ").encode("utf-8", "replace"))
            for name, place in zip(names, places, strict=True)
        )
    if not places:
        return ()
    values = split.__getitems__(list(places))[0]
    if values.ndim == 4:
        return tuple(Example(f"{n}.png", _png(each)) for n, each in zip(names, values, strict=True))
    if about.task.axis == "columns" and values.ndim == 2:
        columns = features_from(about.raw["preprocessing"])
        return tuple(
            Example(name, json.dumps(_row(columns, each.numpy())).encode())
            for name, each in zip(names, values, strict=True)
        )
    raise NotValid("The examples of this run cannot be shown.", "Take one with pictures or texts.")


def _png(values: Tensor) -> bytes:
    from PIL import Image

    whole = values.float() if values.dtype == torch.uint8 else values.float() * 255
    pixels = whole.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _row(columns: Sequence[Feature], inputs: npt.NDArray[np.float32]) -> dict[str, Any]:
    """The values of a row, from what the network is given of it."""
    found: dict[str, Any] = {}
    at = 0
    for each in columns:
        mine = inputs[at : at + len(each.inputs)]
        at += len(each.inputs)
        if each.categories:
            found[each.name] = each.categories[int(mine.argmax())] if mine.any() else None
        elif each.indicator and mine[1]:
            found[each.name] = None
        else:
            found[each.name] = float(f"{float(mine[0]) * each.std + each.mean:.6g}")
    return found


def _path(data: str) -> Any:
    from pathlib import Path

    from core.data.laidout import laid_out

    return laid_out(Path(data)) if data else None


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _to(each, device) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to(each, device) for each in value)
    return value
