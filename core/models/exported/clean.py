"""From a stranger's ``.pt2`` to one of our own that holds only what was looked at.

The new file has our own names, raw tensors and the rewritten program; sample inputs (a pickle),
compiled code and everything unknown stay behind. Only that file is ever given to torch.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.exported.archive import AGAIN, Archive
from core.models.exported.payload import Payload, payload
from core.models.exported.program import Program

CARD = "fluoroscope.json"
"""The member of ``extra/`` that says what the model is for."""
TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16",
}  # fmt: skip
_LARGEST_CARD = 32 * 2**20
_PROGRAM = "models/model.json"
_KNOWN = (
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/version",
    ".data/serialization_id",
)


@dataclass(frozen=True)
class Given:
    """A tensor that the program is given: its name, type, and least and most length of each axis,
    most None for no bound.
    """

    name: str
    dtype: str
    least: tuple[int, ...]
    most: tuple[int | None, ...]


@dataclass(frozen=True)
class Found:
    """What is in a file that may be opened.

    ``operators`` counts calls; ``values`` are those of all weights, ``parameters`` without buffers;
    ``training`` says that it was exported without ``eval()``; ``card`` is the text of the card that
    came along, if one did; ``left_out`` are parts that were not taken over.
    """

    inputs: tuple[Given, ...]
    operators: dict[str, int]
    values: int
    parameters: int
    training: bool
    card: str = ""
    left_out: tuple[str, ...] = ()


def clean(source: Path, target: Path) -> Found:
    """Write what may be opened of ``source`` to ``target``.

    Raises ``BadModel`` when it is no exported program or holds anything that could run code;
    ``target`` is then not there.
    """
    with Archive(source) as archive:
        names = archive.members
        if "archive_format" not in names or archive.text("archive_format", 16) != "pt2":
            raise archive.refused(
                "it is a zip, but no exported program", f"Expected a .pt2 file. {AGAIN}"
            )
        models = [each for each in names if each.startswith("models/")]
        if models != [_PROGRAM]:
            held = f"{len(models)} programs, or one under another name" if models else "no program"
            raise archive.refused(
                f"it holds {held}",
                "Expected one program, saved with torch.export.save(program, 'model.pt2').",
            )
        if "byteorder" in names and archive.text("byteorder", 16) != "little":
            raise archive.refused("its bytes are in the order of another kind of machine")
        program = Program(archive.json(_PROGRAM), archive.refused)
        weights = payload(archive, program, "weights", "weight_", program.weights)
        constants = payload(archive, program, "constants", "tensor_", program.constants)
        card = f"extra/{CARD}"
        text = archive.text(card, _LARGEST_CARD) if card in names else ""
        try:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as out:
                _write(out, archive, program, weights, constants)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        taken = {_PROGRAM, card, *weights.members, *constants.members}
        own = (
            "data/weights/model_weights_config.json",
            "data/constants/model_constants_config.json",
        )
        return Found(
            inputs=tuple(_given(program)),
            operators=dict(program.operators.most_common()),
            values=sum(weights.values.values()),
            parameters=sum(
                count
                for name, count in weights.values.items()
                if weights.config["config"][name]["is_param"]
            ),
            training=program.training,
            card=text,
            left_out=tuple(sorted(names.keys() - taken - {*_KNOWN, *own})),
        )


def _write(
    out: zipfile.ZipFile, archive: Archive, program: Program, weights: Payload, constants: Payload
) -> None:
    texts = {
        "archive_format": "pt2",
        "archive_version": "0",
        "byteorder": "little",
        ".data/version": "3\n",
        "data/sample_inputs/model.pt": "",  # torch reads it: an empty one is no pickle
        "data/weights/model_weights_config.json": json.dumps(weights.config),
        "data/constants/model_constants_config.json": json.dumps(constants.config),
        _PROGRAM: json.dumps(program.content, allow_nan=False),
    }
    for name, text in texts.items():
        out.writestr(_entry(name), text)
    for part, folder in ((weights, "weights"), (constants, "constants")):
        for member, new in part.members.items():
            entry = _entry(f"data/{folder}/{new}")
            entry.file_size = archive.members[member].file_size
            with out.open(entry, "w") as file:
                archive.copy(member, file)


def _entry(name: str) -> zipfile.ZipInfo:
    """Without a date: the same content is the same file."""
    return zipfile.ZipInfo(f"model/{name}", (1980, 1, 1, 0, 0, 0))


def _given(program: Program) -> Iterator[Given]:
    for argument in program.inputs:
        named = argument.get("as_tensor")
        if named is None:
            continue
        meta = program.graph["tensor_values"][named["name"]]
        bounds = [_bounds(size, program.ranges) for size in meta["sizes"]]
        yield Given(
            name=named["name"],
            dtype=TYPES.get(meta["dtype"], "other"),
            least=tuple(least for least, _ in bounds),
            most=tuple(most for _, most in bounds),
        )


def _bounds(size: dict[str, Any], ranges: dict[str, Any]) -> tuple[int, int | None]:
    if "as_int" in size:
        return size["as_int"], size["as_int"]
    text = size["as_expr"]["expr_str"]
    name = text.split("'")[1] if text.startswith("Symbol('") else ""
    limits = ranges.get(name, {})
    return max(limits.get("min_val") or 0, 0), limits.get("max_val")
