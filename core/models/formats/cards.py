"""The cards of models of one's own that are no ``.pt2`` program.

    models/<name>/card.json            kind, what it is for, what was found, where it comes from
    models/<name>/model.safetensors    weights, under the names that the architecture has
    models/<name>/config.json …        of a folder of transformers, rewritten
    models/<name>/model.onnx, .skops   as they came

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadModel, shortened
from core.models import huggingface
from core.models.card import ImagePreprocessing, ModelCard
from core.models.exported import held
from core.models.formats import architecture
from core.tasks import Task

if TYPE_CHECKING:
    from core.models.exported.description import Description
    from core.models.exported.own import Staged

WEIGHTS = "model.safetensors"
OF_SAMPLE = "sample"  # a tokenizer that is the sample model's own
GRAPH = "model.onnx"
WEIGHTS_KIND, FOLDER_KIND = "weights", "transformers"
ESTIMATOR_KIND, GRAPH_KIND = "estimator", "graph"


def card(name: str, folder: Path, kept: Staged) -> ModelCard:
    """The card of what lies in ``folder``, of the kind that it is kept as.

    Raises ``BadModel`` for an unknown kind, and what its architecture or folder raise.
    """
    kind = kept.kind
    if kind == WEIGHTS_KIND:
        return _weights(name, folder, kept)
    if kind == GRAPH_KIND:
        others = held.arguments(kept.found, kept.said.held)
        summary = kept.said.summary or f"Your own ONNX graph, from {kept.origin['file']}."
        return replace(
            _weights(name, folder, kept),
            summary=f"{summary} {held.sentence(kept.found, kept.said.held)}".rstrip(),
            factory="core.models.formats.onnxfile:module",
            arguments={
                "path": str(folder / GRAPH),
                **({"held": others, "looked": kept.found["inputs"][0]["name"]} if others else {}),
            },
            weights=GRAPH,
            own_weights=True,
            extra="sklearn",
            modules_needed=("onnx", "onnxruntime"),
            device="cpu",
        )
    if kind == FOLDER_KIND:
        made = huggingface.read(folder, name)
        return _renamed(made, name, folder, kept)
    if kind == ESTIMATOR_KIND:
        from core.models import estimator

        made = estimator.card(str(folder / Path(kept.origin["kept"]).name))
        return _renamed(made, name, folder, kept)
    raise BadModel(
        f"'{shortened(name, 80)}' is kept as '{shortened(kind, 40)}', which is not known.",
        "Add the model again with `fluoroscope add FILE`.",
    )


def _renamed(made: ModelCard, name: str, folder: Path, kept: Staged) -> ModelCard:
    """The card of a library's folder or file, with what the person says of it."""
    said = kept.said
    what = str(made.raw.get("summary") or "Your own model")
    summary = said.summary or f"{what}, from {kept.origin['file']}."
    return replace(
        made,
        name=name,
        title=said.title or folder.name,
        summary=summary,
        classes=said.classes or made.classes,
        independent=said.independent or made.independent,
        raw={**made.raw, "origin": kept.origin, "found": kept.found, "licence": "yours"},
    )


def _weights(name: str, folder: Path, kept: Staged) -> ModelCard:
    said, found, spec = kept.said, kept.found, kept.said.architecture
    task = said.task
    if task is None:
        raise BadModel(f"The card of '{shortened(name, 80)}' names no task.", "Add it again.")
    base = architecture.announced(spec)
    prepared = said.preprocessing
    pictures = None
    if task is Task.IMAGE_CLASSIFICATION:
        known = {key: prepared[key] for key in ("channels", "height", "width", "fit", "box")}
        mean, std = (tuple(prepared[key]) for key in ("mean", "std"))
        pictures = ImagePreprocessing(**known, mean=mean, std=std)
    raw = {
        "parameters": int(found["parameters"]),
        "summary": said.summary,
        "data": {},
        "training": {},
        "preprocessing": dict(prepared),
        "tokenizer": dict(said.tokenizer),
        "held": dict(said.held),
        "found": found,
        "origin": kept.origin,
        "licence": "yours",
    }
    made = ModelCard(
        name=name,
        title=said.title or folder.name,
        task=task,
        summary=said.summary or f"Your own weights, from {kept.origin['file']}.",
        factory="core.models.formats.architecture:build",
        classes=said.classes,
        preprocessing=pictures,
        folder=folder,
        weights=WEIGHTS,
        weights_factory=None,
        extra="text" if "model_type" in spec or "json" in said.tokenizer else None,
        modules_needed=_modules(spec, said),
        raw=raw,
        arguments={"spec": dict(spec), "task": task.value},
        tokenizer="core.models.exported.tokens:of" if task.axis == "tokens" else "",
        independent=said.independent,
    )
    if base is not None and OF_SAMPLE in said.tokenizer:
        # The tokenizer of the sample model, which it finds by what its own card says.
        made = replace(
            made,
            tokenizer=base.tokenizer,
            folder=base.folder,
            weights=str(folder / WEIGHTS),
            raw={**base.raw, **{k: raw[k] for k in raw if k not in ("tokenizer", "data")}},
        )
    return made


def _modules(spec: Mapping[str, Any], said: Description) -> tuple[str, ...]:
    if "model_type" in spec or "json" in said.tokenizer:
        return ("transformers",)
    return tuple(each for each in ("timm", "torchvision") if each in spec)
