"""ONNX graphs and estimators of one's own, as the confined process takes them.

A graph becomes a program of layers where its operators allow (``core.models.converted``). Else one
over pictures is run by onnxruntime, and only methods that ask a model fit it; one over the columns
of a table is kept as it is, as a ``.skops`` file is.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from core.confinement.deeds import forbid
from core.errors import BadModel, shortened
from core.models import estimator
from core.models.catalogue import resolve
from core.models.converted.graph import Unconverted
from core.models.converted.values import TooLarge
from core.models.exported import held
from core.models.exported.choice import chosen
from core.models.exported.description import Description, completed
from core.models.exported.own import Staged
from core.models.formats import cards
from core.models.formats.kind import Kind
from core.models.formats.layered import layered
from core.models.formats.onnxbytes import whole
from core.models.formats.onnxfile import module, shapes_of
from core.models.formats.running import ran
from core.models.formats.tensors import mark
from core.provenance import sha256
from core.tasks import Task

_EXPORT = "Export it from PyTorch with torch.export.save, which keeps its layers."


def taken(
    source: Path, kind: Kind, said: Description, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """What is kept of a file, and notes. Raises ``BadModel`` as ``core.models.estimator`` does, and
    for graphs over texts that have no layers.
    """
    if kind is not Kind.ONNX:
        return _rows(source, kind, said, folder)
    inputs = shapes_of(source)
    pictures = any(len(each["least"]) == 4 for each in inputs)
    whole_numbers = not inputs[0]["dtype"].startswith("float")
    columns = not pictures and (not whole_numbers or said.task is Task.TABULAR_CLASSIFICATION)
    try:
        return layered(source, said, folder, partial(forbid, "ctypes.dlopen"))
    except Unconverted as error:
        reason = str(error)
    except TooLarge:
        raise
    except BadModel:
        if not columns:
            raise
    if pictures:
        return _pictures(source, said, folder, inputs, reason)
    if columns:
        return _rows(source, kind, said, folder)
    raise BadModel(
        f"The graph in '{shortened(source.name, 80)}' takes numbers of tokens, and it does not "
        f"become layers: {reason}. Texts are explained by their embeddings, a layer.",
        _EXPORT,
    )


def _rows(
    source: Path, kind: Kind, said: Description, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    name = f"model{estimator.SKOPS if kind is Kind.SKOPS else estimator.ONNX}"
    if kind is Kind.ONNX:
        (folder / name).write_bytes(whole(source))
    else:
        shutil.copyfile(source, folder / name)
    columns = said.preprocessing.get("features", [])
    about = {"title": said.title, "classes": list(said.classes), "columns": columns}
    text = json.dumps({key: value for key, value in about.items() if value})
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    try:
        card = estimator.card(str(folder / name))
    except BadModel as error:
        raise BadModel(
            error.message.replace(name, source.name),
            "Say them with --classes no,yes and --set columns=age,colour.",
        ) from None
    forbid("ctypes.dlopen")
    network = resolve(card.factory)(**card.arguments)
    found = {
        "parameters": 0,
        "inputs": [],
        "widths": [],
        "lengths": [1, None],
        **ran(card, network),
    }
    return {
        "kind": cards.ESTIMATOR_KIND,
        "origin": {"file": shortened(source.name), "kept": name},
        "found": found,
        "description": json.loads(replace(said, preprocessing={}).written()),
    }, []


def _pictures(
    source: Path, said: Description, folder: Path, inputs: list[dict[str, Any]], reason: str
) -> tuple[dict[str, Any], list[str]]:
    place = folder / cards.GRAPH
    place.write_bytes(whole(source))
    (looked, *_), others = chosen(inputs, said.held, said.look_into)
    if len(looked["least"]) != 4:
        raise BadModel(f"Of a graph a picture is looked into, '{looked['name']}' is none.", _EXPORT)
    kept = {each["name"]: held.laid_out(each, looked) for each in others}
    values = held.arguments({"held": kept}, said.held)
    network = module(str(place), looked["name"], values)
    found: dict[str, Any] = {
        "parameters": 0,
        "inputs": [looked, *others],
        "held": kept,
        "answer": [2],
        "widths": [],
        "lengths": [1, None],
        "unconverted": reason,
    }
    said = said.over(Description(task=Task.IMAGE_CLASSIFICATION))
    draft, _ = completed(replace(said, classes=()), found)
    staged = Staged(folder, found, draft, {"file": source.name}, False, cards.GRAPH_KIND)
    forbid("ctypes.dlopen")
    found |= ran(cards.card(shortened(source.name, 80), folder, staged), network)
    final, notes = completed(said, found)
    mark(place, sha256(final.written().encode()))
    why = f"{reason}; a .pt2 file, as torch.export.save writes it, keeps them"
    notes = (*notes, f"its layers cannot be looked into, only its answers: {why}")
    return {
        "kind": cards.GRAPH_KIND,
        "origin": {"file": shortened(source.name)},
        "found": found,
        "description": json.loads(final.written()),
    }, list(notes)
