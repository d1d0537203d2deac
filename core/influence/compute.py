"""The verb ``influence``: which training examples moved an answer, or which ones are like it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.errors import BadInput, NotValid
from core.influence.alike import alike
from core.influence.lessons import ASKED, Lessons, final_layer, shown, told, trainable
from core.influence.origin import Origin, origin
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.influence import Influence
from core.tasks import Example, Target, parse_targets

SETTINGS = (
    Parameter(
        "how",
        "choice",
        "tracin",
        "By what training did (tracin), by likeness of activations (similar), or the influence of "
        "each training example on itself (self).",
        choices=("tracin", "similar", "self"),
    ),
    Parameter("most", "int", 8, "Examples to show of each kind.", 1, 100),
    Parameter("examples", "int", 4000, "Training examples to look at, evenly spread.", 1, 10**7),
    Parameter(
        "weights",
        "choice",
        "last",
        "Whose gradients count: those of the last layer, or all.",
        choices=("last", "all"),
    ),
)
_TOGETHER = 256
_LOOKED_AT = 3  # training examples that are read in both ways
_SAME = 0.02  # of the largest logit, by which the two may differ
_ONE_BY_ONE = 16  # training examples at once where each has a gradient of all weights
_MOST_NUMBERS = 4e9  # gradients of all weights, over examples and checkpoints


def influence(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Influence:
    """Training examples by their influence on the loss of ``target`` (by default the answer) of the
    one input, or, without one, on their own; ``parameters`` are those of ``SETTINGS``, and for
    ``similar`` the folder ``capture`` of activations of the data at hand and a ``layer`` of it.

    TracIn: Pruthi et al. 2020, Estimating training data influence by tracing gradient descent,
    arXiv 2002.08484; by Captum, over the checkpoints that the run has kept. It is exact for small
    steps of plain gradient descent; momentum, Adam, augmentation and dropout are not in it.

    Raises ``NotValid`` for a model whose run is not kept or that has no classes, ``BadInput`` when
    the data are not there, and as ``parse_targets`` does.
    """
    given = {each.name: parameters[each.name] for each in SETTINGS if each.name in parameters}
    settings = checked(SETTINGS, given, "influence")
    how, most = str(settings["how"]), int(settings["most"])
    if how == "similar":
        return alike(model, _one(inputs), parameters, most, seed, meter)
    started = time.perf_counter()
    behind = origin(model.card)
    with model.exclusive(seed):  # building and training code draw from the global generators
        made = trainable(behind.run)
    asked = None if how == "self" else model.adapter.encode([_one(inputs)], model)
    lessons = Lessons(made, model.adapter, asked, model.device, meter)
    count = len(made.splits["train"])
    wanted = min(count, int(settings["examples"]))
    rows = np.arange(wanted, dtype=np.int64) * count // wanted
    meter.expect(wanted * (1 + len(behind.weights)), "Training examples")
    states = [_weights(path) for path in behind.weights]
    with model.exclusive(seed):
        lessons.load(states[-1])
        about = told(lessons, rows, meter)
        _check(
            model, lessons, rows[:_LOOKED_AT], shown(made, model.card, rows[:_LOOKED_AT].tolist())
        )
        notes = _notes(behind, count, wanted, about.by_cross_entropy)
        target = None if asked is None else _target(model, lessons, parameters)
        layer = final_layer(lessons, torch.from_numpy(rows[:2])) if (
            settings["weights"] == "last"
        ) else None  # fmt: skip
        if settings["weights"] == "last" and layer is None:
            notes.append("The network does not end in a dense layer: gradients of all weights.")
        numbers = sum(p.numel() for p in lessons.network.parameters()) * wanted * len(states)
        if layer is None and numbers > _MOST_NUMBERS:
            raise NotValid(
                f"Gradients of all weights for {wanted:,} examples at {len(states)} checkpoints "
                "take too long.",
                "Take those of the last layer, or fewer examples: examples=200.",
            )
        scores = _traced(lessons, layer, rows, about.labels, states, behind, target)
    order = np.argsort(-scores, kind="stable")
    best, worst = order[:most], order[::-1][:most] if target is not None else order[:0]
    places = [int(rows[each]) for each in (*best, *worst)]
    example = "" if asked is None else inputs[0].name
    return Influence(
        model.ref.name,
        str(model.card.raw.get("data", {}).get("name", "")) or behind.run.name,
        "self" if asked is None else "tracin",
        example,
        target,
        tuple(made.classes),
        model.adapter.axis,
        rows,
        scores.astype(np.float32),
        about.labels,
        about.answers,
        best.astype(np.int64),
        worst.astype(np.int64),
        shown(made, model.card, places),
        behind.steps,
        behind.rates,
        "last layer" if layer is not None else "all weights",
        tuple(notes),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            tuple(each.sha256 for each in inputs),
            "influence",
            {**settings, "run": behind.run.name, "target": target.label if target else ""},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _traced(
    lessons: Lessons,
    layer: nn.Linear | None,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    states: Sequence[Mapping[str, Tensor]],
    behind: Origin,
    target: Target | None,
) -> npt.NDArray[np.float64]:
    """Captum's TracIn scores ``[row]`` for the target, or each example's for itself."""
    from captum.influence import TracInCP, TracInCPFast

    def load(model: nn.Module, number: int) -> float:
        lessons.load(states[number])
        return behind.rates[number]

    for parameter in lessons.network.parameters():
        parameter.requires_grad_(True)
    data = torch.utils.data.TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels))
    numbers: Any = list(range(len(states)))
    # cuDNN has no gradient of a recurrent layer in eval.
    with warnings.catch_warnings(), torch.backends.cudnn.flags(enabled=layer is not None):
        warnings.simplefilter("ignore")
        if layer is not None:
            batches = torch.utils.data.DataLoader(data, batch_size=_TOGETHER)
            loss = nn.CrossEntropyLoss(reduction="sum")
            tracing: Any = TracInCPFast(lessons, layer, batches, numbers, load, loss)
        else:
            batches = torch.utils.data.DataLoader(data, batch_size=_ONE_BY_ONE)
            loss = nn.CrossEntropyLoss(reduction="none")
            tracing = TracInCP(lessons, batches, numbers, load, loss_fn=loss)
        if target is None:
            found = tracing.self_influence(outer_loop_by_checkpoints=True)
        else:
            asked = (torch.tensor([ASKED]), torch.tensor([target.index], device=_device(lessons)))
            found = tracing.influence(asked)[0]
    scores: npt.NDArray[np.float64] = found.detach().cpu().double().numpy()
    if not np.isfinite(scores).all():
        raise BadInput(
            f"The checkpoints of '{behind.run.name}' give NaN or infinite gradients.",
            "The run came to nothing: choose another.",
        )
    return scores


def _target(model: LoadedModel, lessons: Lessons, parameters: Mapping[str, Any]) -> Target:
    with torch.no_grad():
        logits = lessons(torch.tensor([ASKED]))[0].float().cpu().numpy()
    spec = str(parameters.get("target", "top"))
    target = parse_targets(spec, model.adapter.classes, logits)[0]
    if target.versus is not None:
        raise BadInput("Influence is on the loss of one class.", "Name one class.")
    return target


def _check(
    model: LoadedModel, lessons: Lessons, rows: npt.NDArray[np.int64], examples: Sequence[Example]
) -> None:
    """Raise ``BadInput`` unless the run reads training examples as the model reads them: a
    vocabulary that is learned anew from other texts would give other answers.
    """
    with torch.no_grad():
        known = lessons.answer(torch.from_numpy(rows)).logits.float()
        for example, theirs in zip(examples, known, strict=True):
            ours = lessons.said(model.adapter.encode([example], model))[0].float()
            if float((ours - theirs).abs().max()) > _SAME * (1 + float(theirs.abs().max())):
                raise BadInput(
                    f"The training examples of '{model.ref.name}' are read in another way than "
                    "when it was trained: it answers otherwise to the same example.",
                    "Train it again, or look at examples that are alike.",
                )


def _notes(behind: Origin, count: int, wanted: int, by_cross_entropy: bool) -> list[str]:
    notes = []
    if not behind.whole:
        notes.append(
            "The run kept no checkpoint: gradients are compared at its last weights alone."
        )
    if wanted < count:
        notes.append(f"{wanted:,} of {count:,} training examples, evenly spread.")
    if not by_cross_entropy:
        notes.append("The run's own loss is another one; gradients are those of cross-entropy.")
    if str(behind.run.config.settings.get("optimiser", "sgd")) != "sgd":
        notes.append("Trained with Adam, whose steps are not the plain ones that are added up.")
    return notes


def _weights(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _device(lessons: Lessons) -> torch.device:
    return next(lessons.network.parameters()).device


def _one(inputs: Sequence[Example]) -> Example:
    if len(inputs) != 1:
        raise BadInput(f"{len(inputs)} examples, expected one.", "Name one example.")
    return inputs[0]
