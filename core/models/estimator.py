"""Estimators of scikit-learn saved with skops, and ONNX files, as a source of cards: a model is
named by the path of its ``.skops`` or ``.onnx`` file.

Beside the file may lie ``<file>.json`` with ``classes``, ``columns`` (names, or objects with
``name`` and ``categories``, ``frequencies``, ``mean``, ``std``), ``title``, ``summary``, ``data``
(a table in the same folder) and ``label`` (its column). What it does not say is read from the
estimator itself, without importing anything that the file names. Imports no torch.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from core.data.table import Feature
from core.errors import BadModel, UnknownName
from core.models.card import ModelCard
from core.models.fitted import classes_of, columns_of
from core.models.skopsfile import Saved, SkopsFile
from core.paths import located, read_json
from core.tasks import Task

SKOPS: Final = ".skops"
ONNX: Final = ".onnx"
LARGEST: Final = 2**31
_FACTORY = "core.models.rowscorer:load"
_ADAPTER = "core.models.rowadapter:of"
_PACKAGE = {SKOPS: "skops", ONNX: "onnxruntime"}


def knows(name: str) -> bool:
    """Whether a name means such a file."""
    return name.startswith(("/", "~")) and name.lower().endswith((SKOPS, ONNX))


def card(name: str) -> ModelCard:
    """The card of a file.

    Raises ``UnknownName`` when there is none, ``BadModel`` when it is no classifier, or neither it
    nor ``<file>.json`` says which classes and columns it knows.
    """
    path = located(name)
    if not path.is_file():
        raise UnknownName(f"There is no file '{name}'.", "Expected an estimator or an ONNX file.")
    if path.stat().st_size > LARGEST:
        raise BadModel(f"'{path.name}' has more than 2 GiB.", "Save a smaller model.")
    about = _beside(path)
    kind = path.suffix.lower()
    saved = SkopsFile(path).root() if kind == SKOPS else None
    classes = tuple(str(each) for each in about.get("classes", ()))
    classes = classes or (classes_of(saved) if saved is not None else ())
    columns = _named(path, about)
    usual: dict[str, str] = {}
    if saved is not None:
        found, usual = columns_of(saved)
        known = {each.name: each for each in found}
        columns = tuple(_completed(each, known.get(each.name)) for each in columns) or found
    lost = [what for what, given in (("classes", classes), ("columns", columns)) if not given]
    if lost:
        raise BadModel(
            f"'{path.name}' does not say its {' and '.join(lost)}.",
            f"Write them into '{path.name}.json': "
            '{"classes": ["no", "yes"], "columns": ["age", "colour"]}. '
            "A regression has no classes and is not read.",
        )
    if len(classes) < 2:
        raise BadModel(f"'{path.name}' knows one class only.", "Expected at least two.")
    data = _data(path, about)
    return ModelCard(
        name=name,
        title=str(about.get("title", path.stem))[:60],
        task=Task.TABULAR_CLASSIFICATION,
        summary=str(about.get("summary", "")) or _summary(path, saved, len(columns)),
        factory=_FACTORY,
        classes=classes,
        preprocessing=None,
        folder=path.parent,
        weights=path.name,
        weights_factory=None,
        extra="sklearn",
        modules_needed=(_PACKAGE[kind],),
        raw={
            "parameters": None,
            "preprocessing": {"features": [_described(each) for each in columns], "usual": usual},
            "data": {},
            "training": {},
            "licence": "not known here",
            "data_file": str(data) if data is not None else "",
            "data_label": str(about.get("label", "")),
        },
        arguments={
            "path": str(path),
            "columns": [each.name for each in columns],
            "texts": [each.name for each in columns if of_texts(each)],
        },
        own_weights=True,
        adapter=_ADAPTER,
        device="cpu",
    )


def of_texts(column: Feature) -> bool:
    """Whether the values of a column are texts: its categories are no numbers."""
    try:
        return bool(column.categories) and any(float(each) is None for each in column.categories)
    except ValueError:
        return True


def _described(column: Feature) -> dict[str, Any]:
    """A column as a card says it; nothing of a mean that is not known."""
    said = asdict(column)
    return said if column.mean or column.std else {**said, "mean": None, "std": None}


def _beside(path: Path) -> dict[str, Any]:
    """What ``<file>.json`` says."""
    place = path.with_name(f"{path.name}.json")
    if not place.is_file():
        return {}
    try:
        found = read_json(place, 1_000_000)
    except (OSError, ValueError) as error:
        raise BadModel(f"'{place.name}' cannot be read: {error}.", "Expected JSON.") from None
    if not isinstance(found, dict):
        raise BadModel(f"'{place.name}' is no JSON object.", "Expected classes and columns.")
    return found


def _named(path: Path, about: dict[str, Any]) -> tuple[Feature, ...]:
    columns = []
    try:
        for each in about.get("columns", ()):
            given = {"name": each} if isinstance(each, str) else dict(each)
            columns.append(
                Feature(
                    name=str(given["name"]),
                    categories=tuple(str(name) for name in given.get("categories", ())),
                    mean=float(given.get("mean", 0.0)),
                    std=float(given.get("std", 0.0)),
                    indicator=bool(given.get("missing", False)),
                    frequencies=tuple(float(share) for share in given.get("frequencies", ())),
                )
            )
    except (TypeError, ValueError, KeyError) as error:
        raise BadModel(
            f"The columns in '{path.name}.json' cannot be read: {error!r}.",
            'Expected names, or {"name": "colour", "categories": ["red", "blue"]}.',
        ) from None
    return tuple(columns)


def _completed(given: Feature, found: Feature | None) -> Feature:
    """What the person says of a column; what they leave open, as the estimator has it."""
    says = given.categories or given.mean or given.std
    return given if says or found is None else found


def _data(path: Path, about: dict[str, Any]) -> Path | None:
    """The table that lies beside the model: the one named, or ``<stem>.csv``."""
    name = str(about.get("data", f"{path.stem}.csv"))
    place = path.with_name(name) if name and Path(name).name == name else None
    if place is not None and place.is_file():
        return place
    if about.get("data"):
        raise BadModel(
            f"'{path.name}.json' names the table '{name}', which is not beside it.",
            "Expected the name of a file in the same folder.",
        )
    return None


def _summary(path: Path, saved: Saved | None, columns: int) -> str:
    if saved is None:
        return f"An ONNX graph over {columns} columns, from {path}."
    said = saved.state("_sklearn_version") or ""
    here = metadata.version("scikit-learn")
    other = "" if said in ("", here) else f" Saved by scikit-learn {said}; this is {here}."
    steps = [step[1].kind for step in saved.state("steps", ()) if isinstance(step[1], Saved)]
    what = f"{saved.kind} of {' → '.join(steps)}" if steps else saved.kind
    return f"{what} of scikit-learn over {columns} columns, from {path}.{other}"
