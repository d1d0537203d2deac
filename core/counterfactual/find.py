"""The verb ``counterfactual``: the smallest changes of a row that change the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from core.counterfactual.room import Room
from core.counterfactual.search import candidates
from core.counterfactual.written import Writer
from core.data.dataset import dataset, open_dataset
from core.errors import BadInput, NotValid, UnknownName
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.models.tabular import TabularAdapter, shown
from core.parameters import Parameter, checked
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.activations import DataRef
from core.results.counterfactual import Counterfactual, RowChange
from core.tasks import Example

PARAMETERS = (
    Parameter("count", "int", 4, "Ways to another answer that are told.", 1, 50),
    Parameter("most", "int", 2_000, "Rows of the data that are looked at.", 10, 100_000),
)


def counterfactual(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Counterfactual:
    """Small changes of the first of ``inputs``, a row of a table, that get it another answer
    (Wachter et al. 2017, arXiv 1711.00399): of few columns, each set of columns once (Mothilal et
    al. 2019, arXiv 1905.07697), beginning from the nearest rows of another answer (Brughmans et al.
    2021, arXiv 2104.07411). ``to`` names the class to reach, ``keep`` the columns that may not
    change, ``path`` a table, or ``data`` those of an earlier result, in place of the data that ship
    with the model; values stay within those of the data.

    Raises ``NotValid`` for a model that does not read tables, ``UnknownName`` for a class or a
    column that there is not, ``BadInput`` for data or a row that cannot be read.
    """
    started = time.perf_counter()
    adapter = model.adapter
    if not isinstance(adapter, TabularAdapter):
        raise NotValid(
            f"'{model.ref.name}' does not read tables: only columns are changed here.",
            "Of texts, `fluoroscope flip` finds words whose removal changes the answer.",
        )
    if not inputs:
        raise BadInput("There is no row to change.", "Name a file with a row.")
    given = {each.name: parameters[each.name] for each in PARAMETERS if each.name in parameters}
    settings = checked(PARAMETERS, given, "counterfactual")
    row, names = inputs[0], [each.name for each in adapter.columns]
    keep = [_column(name, names) for name in parameters.get("keep", ())]
    before = predict(model, (row,), {}, seed, Quiet(meter))[0]
    goal = _class(str(parameters.get("to", "")), adapter.classes)
    if known := parameters.get("data"):
        data = open_dataset(DataRef(**known))
    else:
        data = dataset(model.card, str(parameters.get("path", "")) or None)
    data = data.limited(int(settings["most"]))
    meter.expect(2, "Looking for changes")
    room = Room(model, adapter, row, data.examples(range(len(data))), goal, seed, meter)
    found: tuple[RowChange, ...] = ()
    reason = ""
    varied = [name for name in names if name not in keep]
    if goal == room.top:
        reason = f"The answer is '{adapter.classes[goal]}' already."
    elif not varied:
        reason = "Every column is kept, so nothing can change."
    else:
        mask = torch.tensor([name in varied for name in names], device=model.device)
        meter.tick()
        moved = candidates(room, mask, seed)
        meter.tick()
        found = _told(room, Writer(room, row), moved, int(settings["count"]))
        reason = "" if found else _reason(room, adapter.classes, goal, bool(keep))
    return Counterfactual(
        row.name,
        before,
        adapter.classes[goal] if goal >= 0 else "",
        tuple(keep),
        tuple(varied),
        found,
        room.tried,
        reason,
        before.notes,
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (row.sha256, data.fingerprint),
            "counterfactual",
            {"to": str(parameters.get("to", "")), "keep": keep, **settings},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _told(room: Room, writer: Writer, moved: torch.Tensor, count: int) -> tuple[RowChange, ...]:
    """The best of the moved rows as they are written, each set of columns once; a set that holds
    another one only where it is nearer.
    """
    pairs = writer.rows(moved)
    values = [each for pair in pairs for each in pair]
    examples = [writer.example(each) for each in values]
    if not examples:
        return ()
    logits = room.said(examples)
    turned = (room.turned(logits) > 0).cpu().numpy()
    rows = room.inputs(examples)
    costs = room.costs(rows).cpu().numpy().astype(np.float64)
    places = [2 * place + (not turned[2 * place]) for place in range(len(pairs))]
    places = [place for place in places if turned[place]]
    order = sorted(places, key=lambda place: ((costs[place] > 0).sum(), costs[place].sum()))
    kept: list[int] = []
    for place in order:
        mine, total = costs[place] > 0, costs[place].sum()
        within = [each for each in kept if not (costs[each] > 0)[~mine].any()]
        same = any(((costs[each] > 0) == mine).all() for each in within)
        if not same and all(costs[each].sum() > total for each in within):
            kept.append(place)
        if len(kept) == count:
            break
    return tuple(
        _change(room, writer, examples[each], values[each], rows[each], logits[each])
        for each in kept
    )


def _change(
    room: Room,
    writer: Writer,
    example: Example,
    values: Mapping[str, Any],
    row: torch.Tensor,
    logits: torch.Tensor,
) -> RowChange:
    names = tuple(each.name for each in room.columns if each.name in values)
    places = [place for place, each in enumerate(room.columns) if each.name in values]
    slid = room.slid(row[None])[0].cpu().numpy()[places]
    signed = (row - room.here)[room.first].cpu().numpy().astype(np.float64)[places]
    return RowChange(
        names,
        tuple(shown(writer.was(name)) for name in names),
        tuple(shown(values[name]) for name in names),
        np.where(slid, signed, np.nan),
        float(room.costs(row[None]).sum()),
        example.data.decode(),
        int(logits.argmax()),
        room.adapter.probabilities(logits[None])[0].cpu().numpy(),
    )


def _column(name: object, names: Sequence[str]) -> str:
    lowered = {each.strip().lower(): each for each in names}
    if str(name).strip().lower() not in lowered:
        raise UnknownName.of("column", name, names)
    return lowered[str(name).strip().lower()]


def _class(name: str, classes: Sequence[str]) -> int:
    if not name:
        return -1
    lowered = [each.lower() for each in classes]
    if name.lower() not in lowered:
        raise UnknownName.of("class", name, classes)
    return lowered.index(name.lower())


def _reason(room: Room, classes: Sequence[str], goal: int, kept: bool) -> str:
    wanted = f"'{classes[goal]}'" if goal >= 0 else f"anything but '{classes[room.top]}'"
    more = " Let more columns change." if kept else ""
    return (
        f"The model answered {wanted} to none of {room.tried:,} rows that were tried, with values "
        f"within those of the data.{more}"
    )
