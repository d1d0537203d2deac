"""Capturing: every example of a data set once through the network, chosen layers to disk.

One forward serves all layers. Memory does not grow with the data: a few examples at a time are
read, and what is kept of them is written before the next ones are read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from core.activations.folder import CaptureFolder, begun, held
from core.activations.outputs import watched
from core.activations.plan import Plan, lengths_of, planned
from core.activations.rows import Rows
from core.activations.shelf import MEMORY, SETTINGS
from core.data.dataset import Dataset
from core.data.tablefile import MAX_SKIPPED
from core.errors import BadInput, BadParameter
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import FORMAT, Capture, CapturedLayer, Pool
from core.tasks import Example

Numbers = Literal["float16", "float32"]
_SHORT = Example("short", b"A word and two.")
_LOOKED_AT = 32  # texts among which a short and a long one are
_HEAD = 100  # examples among which there is one that can be read
_MOST = {"pixels": 64, "columns": 256, "tokens": 512}  # examples read at a time


def capture(
    model: LoadedModel,
    data: Dataset,
    folder: Path,
    layers: Sequence[str] | None = None,
    *,
    pool: Pool = "mean",
    dtype: Numbers = "float16",
    memory: int = MEMORY,
    seed: int = 0,
    meter: Meter | None = None,
) -> Capture:
    """What ``layers`` answer to ``data``, in ``folder``; by default all that have no parts.

    ``pool`` is what is kept of positions: ``whole`` all of them, else one number per unit: their
    ``mean`` or ``max``, or the ``first`` or ``last`` position of a sequence. At most about
    ``memory`` MiB are taken besides what the network itself needs for its batch, however many
    examples there are. A capture of the same that is in the folder already is gone on with, or is
    the answer; equal settings give equal bytes.

    Raises ``UnknownName`` for a layer that does not exist, ``NotValid`` with the reason for one
    that cannot be captured, ``BadInput`` when more than a tenth of the examples cannot be read and
    for a folder that holds something else, ``StorageError`` when the disk is full, ``Cancelled``.
    What is written until then is kept.
    """
    meter = meter or Meter()
    given = {"pool": pool, "dtype": dtype, "memory": memory}
    settings = checked(SETTINGS, given, "capture")
    if layers is not None and not layers:
        raise BadParameter("No layer is named.", "Leave layers out to capture all of them.")
    asked = {
        "weights": model.ref.fingerprint,
        "data": data.fingerprint,
        "layers": None if layers is None else sorted(set(layers)),
        **settings,
        "seed": seed,
    }
    with held(folder, meter.check):
        manifest = begun(folder, asked)
        if manifest is not None and manifest["read"] == manifest["total"]:
            return CaptureFolder(folder, manifest, dtype).opened()
        return _Pass(model, data, folder, asked, seed, meter).run(manifest)


class _Pass:
    """One pass over a data set, from wherever an earlier one got to."""

    def __init__(
        self,
        model: LoadedModel,
        data: Dataset,
        folder: Path,
        asked: dict[str, Any],
        seed: int,
        meter: Meter,
    ) -> None:
        self._model, self._data, self._folder = model, data, folder
        self._asked, self._seed, self._meter = asked, seed, meter
        self._dtype: Numbers = asked["dtype"]
        self._budget = int(asked["memory"]) * 2**20
        self._started = time.perf_counter()
        seen = looks(model, self._head())
        self._width = seen[0].features.shape[-1]
        with model.exclusive(seed) as module:
            self._plan: Plan = planned(model, module, seen, asked["layers"], asked["pool"])
        self._files = {each.name: f"{i:03}.npy" for i, each in enumerate(self._plan.taken)}

    def run(self, manifest: dict[str, Any] | None) -> Capture:
        """Write what is missing."""
        if manifest is None:
            longest = self._longest() if any(each.ragged for each in self._plan.taken) else ()
            manifest = self._manifest(longest)
            writer = CaptureFolder(self._folder, manifest, self._dtype)
            writer.begin(self._data)
        else:
            writer = CaptureFolder(self._folder, manifest, self._dtype)
        together, start = int(manifest["together"]), int(manifest["read"])
        # Two, in turns: one is written while the next examples go through the network.
        both = [Rows(self._plan.taken, manifest, together, self._dtype) for _ in range(2)]
        before = float(manifest["provenance"]["seconds"])

        def written(rows: range, found: Rows, count: int, left_out: dict[int, str]) -> None:
            writer.write(manifest["done"], found.by_file(count))
            found.tell(manifest)
            manifest["done"] += count
            manifest["read"] = rows.stop
            manifest["left_out"] += [list(each) for each in sorted(left_out.items())]
            seconds = before + time.perf_counter() - self._started
            manifest["provenance"]["seconds"] = seconds
            writer.say(durable=rows.stop == len(self._data))

        with writer, ThreadPoolExecutor(1) as aside:
            self._meter.expect(len(self._data) - start, "Capturing")
            pending: Future[None] | None = None
            for number, first in enumerate(range(start, len(self._data), together)):
                rows = range(first, min(first + together, len(self._data)))
                found = both[number % 2]
                count, left_out = self._capture(rows, found)
                if pending is not None:
                    pending.result()
                self._check(manifest["left_out"], left_out)
                pending = aside.submit(written, rows, found, count, left_out)
            if pending is not None:
                pending.result()
        return writer.opened()

    def _capture(self, rows: range, found: Rows) -> tuple[int, dict[int, str]]:
        """Put these examples through the network; how many were read, and why others were not."""
        found.clear()
        left_out: dict[int, str] = {}
        count = 0
        for places, batch in self._batches(rows, left_out):
            self._meter.tick(len(places))
            found.at(places, batch)
            with (
                self._model.exclusive(self._seed) as module,
                torch.no_grad(),
                watched(module, self._hooked(module), found.take),
            ):
                logits = self._model.adapter.logits(module, batch.features, *batch.context)
            found.score(logits)
            count += len(places)
        return count, left_out

    def _batches(
        self, rows: range, left_out: dict[int, str]
    ) -> Iterator[tuple[tuple[int, ...], Batch]]:
        """These examples as batches, with their places among those that can be read."""
        adapter, before = self._model.adapter, 0
        for some in self._read(rows, left_out):
            examples = list(some.values())
            try:
                batches = adapter.batches(examples, self._model)
            except BadInput:
                examples = [e for row, e in some.items() if self._readable(row, e, left_out)]
                batches = adapter.batches(examples, self._model) if examples else []
            for places, batch in batches:
                yield tuple(before + place for place in places), batch
            before += len(examples)

    def _read(self, rows: range, left_out: dict[int, str]) -> Iterator[dict[int, Example]]:
        """These examples by row, of texts no more at a time than the limit has room for: a byte of
        text is a token at most.
        """
        room = self._budget // (16 * self._width) if self._model.adapter.axis == "tokens" else 0
        some: dict[int, Example] = {}
        size = 0
        for row in rows:
            try:
                example = self._data[row]
            except BadInput as error:
                left_out[row] = error.message
                continue
            if some and room and size + len(example.data) > room:
                yield some
                some, size = {}, 0
            some[row] = example
            size += len(example.data)
        if some:
            yield some

    def _readable(self, row: int, example: Example, left_out: dict[int, str]) -> bool:
        try:
            self._model.adapter.batches([example], self._model)
        except BadInput as error:
            left_out[row] = error.message
            return False
        return True

    def _head(self) -> list[Example]:
        """The first examples that can be read, to look at the layers with."""
        wanted = _LOOKED_AT if self._model.adapter.axis == "tokens" else 1
        found: list[Example] = []
        first: BadInput | None = None
        for row in range(min(len(self._data), _HEAD)):
            try:
                example = self._data[row]
                self._model.adapter.batches([example], self._model)
            except BadInput as error:
                first = first or error
                continue
            found.append(example)
            if len(found) == wanted:
                break
        if not found and first is not None:
            raise first
        return found

    def _check(self, before: Sequence[object], now: Mapping[int, str]) -> None:
        """Raise ``BadInput`` when too many examples cannot be read."""
        count = len(before) + len(now)
        if now and count > MAX_SKIPPED * len(self._data):
            raise BadInput(
                f"{count:,} of {len(self._data):,} examples of '{self._data.name}' cannot be read, "
                f"at most {MAX_SKIPPED:.0%} are left out. One of them: {next(iter(now.values()))}",
                "Remove or repair them.",
            )

    def _hooked(self, module: nn.Module) -> dict[str, nn.Module]:
        """The layers in this very module, which may be a twin of the one that was looked at."""
        return {name: module.get_submodule(name) for name in self._plan.layers}

    def _longest(self) -> tuple[int, ...]:
        """The lengths that positions may follow, at most: all texts are read once for that."""
        longest: tuple[int, ...] = ()
        self._meter.expect(len(self._data), "Reading texts")
        for places, batch in self._batches(range(len(self._data)), {}):
            self._meter.tick(len(places))
            found = lengths_of(batch)
            longest = tuple(map(max, longest or found, found))
        return longest

    def _manifest(self, longest: tuple[int, ...]) -> dict[str, Any]:
        model, data, plan = self._model, self._data, self._plan
        layers = [
            CapturedLayer(
                each.name,
                each.kind,
                self._files[each.name],
                each.kept(longest),
                each.pool,
                each.ragged,
                each.units_last and each.pool == "whole",
            )
            for each in plan.taken
        ]
        provenance = Provenance(
            model=model.ref.name,
            weights=model.ref.fingerprint,
            inputs=(data.fingerprint,),
            verb="capture",
            parameters={name: self._asked[name] for name in ("layers", "pool", "dtype", "memory")},
            seed=self._seed,
            device=str(model.device),
            seconds=0.0,
        )
        return {
            "format": FORMAT,
            "model": model.ref.name,
            "weights": model.ref.fingerprint,
            "task": str(model.card.task),
            "classes": list(model.adapter.classes),
            "independent": model.card.independent,
            "data": asdict(data.ref),
            "dtype": self._dtype,
            "total": len(data),
            "read": 0,
            "done": 0,
            "left_out": [],
            "layers": [asdict(each) for each in layers],
            "skipped": dict(plan.skipped),
            "notes": list(data.notes),
            "provenance": provenance.as_json(),
            "asked": self._asked,
            "together": self._together([each.shape for each in layers]),
        }

    def _together(self, kept: Sequence[tuple[int, ...]]) -> int:
        """How many examples are read at a time, so that they stay within the limit."""
        bytes_kept = sum(math.prod(each) for each in kept) * np.dtype(self._dtype).itemsize
        passing = 4 * max(each.size for each in self._plan.taken)
        features = 16 * self._features
        fitting = self._budget // max(1, 2 * bytes_kept + passing + features)
        return int(max(1, min(_MOST[self._model.adapter.axis], fitting)))

    @property
    def _features(self) -> int:
        """About how many numbers one encoded example has."""
        return max(each.size for each in self._plan.taken if each.size)


def looks(model: LoadedModel, examples: Sequence[Example] = ()) -> list[Batch]:
    """Batches of one example to look at the layers with: of texts a short one, a long one, and one
    that is neither.
    """
    adapter = model.adapter
    batches = [batch for _, batch in adapter.batches(examples, model)] if examples else []
    if adapter.axis != "tokens":
        return [batches[0][0] if batches else adapter.typical(model)]
    by_length = sorted(batches, key=lengths_of) or adapter.batches([_SHORT], model)[0][1:]
    return [by_length[0][0], by_length[-1][0], adapter.typical(model)]
