"""Data sets: those that come with models (packages announce them through the entry-point group
``fluoroscope.data``), and a person's own: a folder of pictures, a table, or a file with one text
per line.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

from core.data.asread import as_model_reads
from core.data.examples import Dataset, Labels
from core.data.opening import opened
from core.data.ownexamples import rows
from core.errors import BadInput
from core.models.card import ModelCard
from core.models.catalogue import card, resolve
from core.results.activations import DataRef

__all__ = ["Dataset", "Labels", "announced", "dataset", "open_dataset"]


def announced(model: ModelCard) -> str:
    """The function, as ``"module:function"``, that opens the data which ship with a model, with the
    one that it was made of, or with the recipe that it was trained by; empty if there are none.
    """
    known = _announced()
    names = (model.name, str(model.raw.get("of", "")), str(model.raw.get("recipe", "")))
    return next((known[name] for name in names if name in known), "")


@cache
def _announced() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in metadata.entry_points(group="fluoroscope.data"):
        found.update(entry.load()())
    return found


def dataset(
    model: ModelCard,
    path: str | Path | None = None,
    *,
    text: str = "",
    label: str = "",
    limit: int = 0,
) -> Dataset:
    """The data at ``path`` as a model of this kind reads them, or those that ship with the model.

    For a model that reads pictures ``path`` is a folder of class folders or of pictures, a zip of
    one, an array of images (``.npy``, ``.npz``), or rows with pictures (a Hugging Face data set
    saved to disk, Parquet). For one that reads texts or rows it is a table (CSV, TSV, JSON Lines,
    Parquet), a file with one text per line, a folder of texts, a data set saved to disk, an array,
    or a zip of these. All stay on disk and are read when they are asked for, except for ``.npz``;
    tables and lines are put there in another form, which goes with the last use.

    ``text`` and ``label`` name columns, ``text`` also that of pictures; of tables it says how they
    are read (``core.data.asread.by_hand``). ``limit`` takes that many examples, evenly spread.
    Labels are those of the model where the classes have the same names, or where they are numbers
    of its classes.

    Raises ``BadInput`` when there is nothing to read, with what was expected.
    """
    table = model.task.axis == "columns"
    if path is None:
        found = _shipped(model)
    elif table:
        found = as_model_reads(opened(path, model, "", label), model, text)
    else:
        found = opened(path, model, text, label)
    source = {"model": model.name, "path": "" if path is None else str(Path(path).absolute())}
    source |= {name: value for name, value in (("text", text), ("label", label)) if value}
    found = replace(found, source=source)
    return (found.labelled_as(model.classes) if model.classes else found).limited(limit)


def open_dataset(ref: DataRef) -> Dataset:
    """The data of an earlier result.

    Raises ``BadInput`` when they are not there any more, or are others by now.
    """
    source = ref.source
    found = dataset(
        card(str(source["model"])),
        str(source["path"]) or None,
        text=str(source.get("text", "")),
        label=str(source.get("label", "")),
        limit=int(source.get("limit", 0)),
    )
    if found.fingerprint != ref.fingerprint:
        raise BadInput(
            f"The data '{ref.name}' are not what they were: their fingerprint differs.",
            "Compute the result again.",
        )
    return found


def ships(model: ModelCard) -> bool:
    """Whether data come with a model."""
    return bool(announced(model) or model.raw.get("data_file"))


def _shipped(model: ModelCard) -> Dataset:
    function = announced(model)
    if not function and (beside := model.raw.get("data_file")):
        return rows(beside, model.task.axis, label=str(model.raw.get("data_label", "")))
    if not function:
        raise BadInput(
            f"No data come with '{model.name}'.",
            "Bring data: a zip or folder of pictures, a table or a text.",
        )
    found: Dataset = resolve(function)()
    return found
