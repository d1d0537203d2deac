"""The verbs for notebooks and scripts: the same calls as the dashboard's, run inline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.activations.shelf import request, shelved, tidy
from core.attribution.registry import method as declared
from core.data.dataset import Dataset, dataset
from core.engine.call import Call
from core.engine.inline import InlineExecutor
from core.models.catalogue import card, catalogue
from core.models.reference import ModelRef
from core.parameters import checked
from core.paths import located
from core.results import Architecture, AttentionMaps, Attribution, Flip, Prediction, Production
from core.results.activations import Capture, open_capture
from core.tasks import Example
from core.workspace import workspace


def models() -> tuple[str, ...]:
    """Names of all announced models."""
    return tuple(catalogue())


def open_example(path: str | Path) -> Example:
    """A file as an example."""
    return Example(Path(path).name, Path(path).read_bytes())


def text(words: str, *outputs: str) -> Example:
    """A text as an example.

    ``outputs`` are what a model that writes is asked about in place of what it would say: one, or
    two to be contrasted.
    """
    return Example("text", words.encode(), outputs=outputs)


def predict(
    model: ModelRef, inputs: Sequence[Example], *, device: str = "auto"
) -> tuple[Prediction, ...]:
    """What the model answers, one ``Prediction`` per example."""
    found: tuple[Prediction, ...] = _run(Call("predict", model, tuple(inputs), device=device))
    return found


def produce(
    model: ModelRef, inputs: Sequence[Example], *, tokens: int = 0, device: str = "auto"
) -> tuple[Production, ...]:
    """What a model that writes says: at most ``tokens``, 0 for as many as its card says."""
    call = Call("produce", model, tuple(inputs), {"tokens": tokens}, device=device)
    found: tuple[Production, ...] = _run(call)
    return found


def describe(model: ModelRef, *, device: str = "auto") -> Architecture:
    """What the model is made of, and which methods fit it."""
    found: Architecture = _run(Call("describe", model, device=device))
    return found


def attribute(
    model: ModelRef,
    inputs: Sequence[Example],
    method: str,
    *,
    target: str | int = "top",
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> tuple[Attribution, ...]:
    """Why the model answers so: one ``Attribution`` per example and target, examples first.

    ``settings`` are the method's own parameters. Raises ``UnknownName`` or ``BadParameter`` before
    anything is computed, ``NotValid`` when the method does not fit the model.
    """
    each = declared(method, card(model.name).task.axis)
    parameters = {
        "method": method,
        "target": str(target),
        "settings": checked(each.parameters, settings, each.name),
    }
    call = Call("attribute", model, tuple(inputs), parameters, seed=seed, device=device)
    found: tuple[Attribution, ...] = _run(call)
    return found


def flip(
    model: ModelRef,
    inputs: Sequence[Example],
    *,
    to: str = "",
    device: str = "auto",
    **settings: Any,
) -> tuple[Flip, ...]:
    """The fewest words of each text whose removal changes the predicted class.

    ``to`` is the class to reach, any other if left out; ``settings`` are ``replacement`` (``drop``,
    ``mask`` or ``padding``) and ``most``, the most texts to try.
    """
    call = Call("flip", model, tuple(inputs), {**settings, "to": to}, device=device)
    found: tuple[Flip, ...] = _run(call)
    return found


def attention_maps(
    model: ModelRef,
    inputs: Sequence[Example],
    layers: str | Sequence[str | int] = "all",
    *,
    device: str = "auto",
) -> tuple[AttentionMaps, ...]:
    """Where the heads of some layers, by name or number, look: ``[head, query, key]`` each.

    Raises ``NotValid`` for a model without attention.
    """
    asked = layers if isinstance(layers, str) else list(layers)
    call = Call("attention", model, tuple(inputs), {"layers": asked}, device=device)
    found: tuple[AttentionMaps, ...] = _run(call)
    return found


def capture(
    model: ModelRef,
    data: Dataset | str | Path | None = None,
    layers: Sequence[str] | None = None,
    *,
    limit: int = 0,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> Capture:
    """What layers, by default all that have no parts, answer to a data set.

    ``data`` are those that ship with the model, a folder of pictures, a table, a file with a text
    per line, or a ``Dataset`` of one's own; at most ``limit`` of them, evenly spread. ``settings``
    are ``pool`` (``mean``, ``max``, ``first``, ``last``, ``whole``), ``dtype`` and ``memory``.
    The folder is ``out``, or one in the workspace, where an equal call finds it again.

    Raises ``UnknownName`` for a layer that there is not, ``NotValid`` for one that cannot be
    captured, ``BadInput`` for data that cannot be read.
    """
    place = workspace()
    if isinstance(data, Dataset):
        found = data.limited(limit)
    else:
        found = dataset(card(model.name), data, limit=limit)
    folder = None if out is None else located(out)
    parameters = request(place, model, found, layers, out=folder, seed=seed, **settings)
    known = shelved(parameters) if out is None else None
    if known is not None:
        return known
    if found.source:
        _run(Call("capture", model, (), parameters, seed=seed, device=device))
    else:  # only this process knows how to read them
        from core.activations.capture import capture as captured
        from core.models.loader import load

        given = {name: parameters[name] for name in ("pool", "dtype", "memory")}
        into = Path(parameters["out"])
        captured(load(model, device), found, into, layers, seed=seed, **given)
    if out is None:
        tidy(place)
    return open_capture(parameters["out"])


def _run(call: Call) -> Any:
    return InlineExecutor(device=call.device).submit(call).result()
