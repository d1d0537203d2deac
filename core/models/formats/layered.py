"""An ONNX graph as a program of layers, where its operators allow: proved on examples to answer as
the graph does, and kept as a ``.pt2`` program is.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from core.confinement.probe import probed
from core.errors import BadModel, shortened
from core.models.converted.graph import Graph, Unconverted, read
from core.models.converted.program import exported
from core.models.converted.steps import examples
from core.models.exported import held
from core.models.exported.clean import CARD, clean
from core.models.exported.description import Description, completed
from core.models.exported.module import ExportedModule, program
from core.models.exported.opening import encoder
from core.models.exported.own import PROGRAM
from core.models.exported.trial import tried
from core.models.formats.onnxbytes import whole
from core.models.formats.onnxfile import asked
from core.provenance import sha256

_CLOSE: Final = 1e-4  # of the largest answer
_RAW: Final = "raw.pt2"


def layered(
    source: Path, said: Description, folder: Path, seal: Callable[[], None]
) -> tuple[dict[str, Any], list[str]]:
    """What is kept of a graph, with its program in ``folder``, and notes. ``seal`` is called when
    all is at hand and before the program runs.

    What is ``missing`` for a text is told beside it. Raises ``Unconverted`` with the reason why it
    has no layers that answer as it does, ``BadModel`` for what no network may have, and as
    ``completed`` does.
    """
    graph = read(whole(source))
    sides = [said.preprocessing.get(name) for name in ("height", "width")]
    made, given = exported(graph, tuple(each for each in sides[:1] if isinstance(each, int)))
    raw, target = folder / _RAW, folder / PROGRAM
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.export.save(made, raw, extra_files={CARD: said.written()})
    try:
        found = clean(raw, target)
    except BadModel as error:  # it calls what no program may call
        raise Unconverted(error.message.partition(": ")[2].rstrip(".")) from error
    finally:
        raw.unlink()
    encode = encoder(found.card)
    seal()
    if encode is not None:
        probed(encode)
    about = tried(found, target)
    if reason := _differs(source, graph, about, target, given):
        target.unlink()
        raise Unconverted(reason)
    about.pop("card")
    about["left_out"] = []  # of the graph nothing was
    missing: tuple[str, ...] = ()
    try:
        final, notes = completed(said, about)
    except BadModel as error:
        if about["inputs"][0]["dtype"].startswith("float"):
            raise
        final, notes, missing = (
            said,
            (),
            (error.message, error.next_step),
        )  # a text lacks its tokenizer
    with zipfile.ZipFile(target, "a") as archive:
        archive.comment = sha256(final.written().encode()).encode()
    return {
        "kind": "",
        "origin": {"file": shortened(source.name)},
        "found": about,
        "description": json.loads(final.written()),
        **({"missing": missing} if missing else {}),
    }, list(notes)


def _differs(
    source: Path, graph: Graph, about: Mapping[str, Any], target: Path, given: Mapping[str, Tensor]
) -> str:
    """Why the program is not the graph; empty where both answer alike."""
    network = ExportedModule(
        program(target),
        about["filled"],
        about["widths"],
        0,
        about["output"],
        about["freed"],
        held.arguments(about, {}),
    ).eval()
    ask = asked(source)
    length = _length(graph, given)
    least, most = about["lengths"]
    free = 5 if length > 1 and least <= 5 <= (most or 5) and about["embedding"] else length
    for batch, size in ((2, length), (3, free)):
        trial = examples(graph, size, list(given), batch, seed=batch)
        theirs = ask([*trial.values()])[about["output"]].double()
        try:
            with torch.no_grad():
                results = fx.Interpreter(network, graph=network.graph).run(
                    *trial.values(), enable_io_processing=False
                )
        except Exception as error:  # whatever torch cannot do with it
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return f"its layers do not run as it does ({shortened(reason, 100)})"
        mine = pytree.tree_leaves(results)[about["output"]].double()
        room = _CLOSE * max(float(theirs.nan_to_num().abs().max()) if theirs.numel() else 0.0, 1e-3)
        if mine.shape != theirs.shape or not torch.allclose(mine, theirs, 0, room, equal_nan=True):
            return "its layers answer otherwise"
    return ""


def _length(graph: Graph, given: Mapping[str, Tensor]) -> int:
    """How long the axes were that may have any length, examples aside."""
    sizes = zip(given.values(), graph.inputs, strict=True)
    free = (
        int(values.shape[axis])
        for values, each in sizes
        for axis, size in enumerate(each.sizes)
        if axis and size is None
    )
    return next(free, 1)
