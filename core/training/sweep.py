"""The runs of a recipe: one, or a grid of them that differ in what the recipe sweeps over."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from core.errors import BadInput
from core.paths import located
from core.training.config import Config
from core.training.recipe import recipe
from core.training.run import Run, new_folder


def configs(
    name: str,
    given: Mapping[str, object],
    *,
    data: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Config]:
    """The checked configs of a recipe by what tells them apart: a grid over the parameters of its
    sweep that are not ``given``, or one config where all are.

    Raises ``UnknownName``, ``BadParameter``, or ``BadInput`` when there are no such data.
    """
    sweep = {key: values for key, values in recipe(name).sweep.items() if key not in given}
    if data is not None and not located(data).exists():
        raise BadInput(f"There is nothing at '{data}'.", "Check the path of the data.")
    found = {}
    for values in itertools.product(*sweep.values()):
        chosen = dict(zip(sweep, values, strict=True))
        label = "-".join([name, *(f"{key}={value}" for key, value in chosen.items())])
        found[label] = Config.of(name, {**given, **chosen}, data=data, seed=seed, device=device)
    return found


def create(root: Path, wanted: Mapping[str, Config], out: Path | None = None) -> list[Run]:
    """New runs for these configs, in ``out`` or a new folder below ``root``; those of a sweep lie
    in one folder together.

    Raises ``StorageError``, or ``BadInput`` when something is in a folder.
    """
    if out is not None:
        folder = located(out)
    else:
        first = next(iter(wanted.values()))
        while True:
            folder = new_folder(root, first)
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue  # somebody else began in the same second
    if len(wanted) == 1:
        return [Run.create(folder, config) for config in wanted.values()]
    return [Run.create(folder / label, config) for label, config in wanted.items()]
