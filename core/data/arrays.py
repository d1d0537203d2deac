"""Arrays of numpy as a data set: ``.npy`` and ``.npz``, never a pickle.

An ``.npy`` is mapped into memory, so it may be larger than that; the arrays of an ``.npz`` are read
as a whole. Headers are checked against the bytes that are there before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from core import settings
from core.data.archive import Archive
from core.data.splits import listed, split_name
from core.errors import BadInput

ENDINGS: Final = (".npy", ".npz")
INPUTS: Final = ("images", "image", "x", "data", "inputs", "features", "texts", "text", "arr")
LABELS: Final = ("labels", "label", "y", "targets", "target")
CLASSES: Final = ("classes", "class_names", "label_names", "target_names", "names")
COLUMNS: Final = ("columns", "column_names", "feature_names")
_NUMBERS = "fiub"
_HEADER = 10_000
_BLOCK = 2**24
_BYTE, _WORD = 255.0, 65535.0
_SAVE: Final = "Save it with np.savez(path, images=…, labels=…), without objects."
_SHAPES: Final = "Expected images of shape [n, height, width] or [n, height, width, 3]."


@dataclass(frozen=True)
class Part:
    """Inputs ``[example, …]`` and what is said of each, ``[example]`` where there are labels."""

    name: str
    inputs: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None


@dataclass(frozen=True)
class Arrays:
    """What a file holds: its parts (one without a name, or train, val, test), names of classes and
    of columns where it has them.
    """

    parts: tuple[Part, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_arrays(path: Path, name: str = "") -> Arrays:
    """The arrays in a file; ``name`` is what it is called where that is not its own.

    In an ``.npz`` inputs go by ``images``, ``x`` …, labels by ``labels`` or ``y``, with the part
    before or after (``x_train``, ``test_images``); an only array goes by any name.

    Raises ``BadInput`` for objects, headers that claim more than there is, and lengths that differ.
    """
    shown = name or path.name
    try:
        with path.open("rb") as file:
            first = file.read(6)
        if first == b"\x93NUMPY":
            return _one(np.load(path, mmap_mode="r", allow_pickle=False), shown)
    except ValueError as error:
        raise _refused(shown, str(error)) from None
    except OSError as error:
        raise BadInput(f"'{shown}' cannot be read: {error}.", "Check the file.") from None
    archive = Archive(path)
    return _sorted_out(
        {
            each.removesuffix(".npy"): _member(archive, each)
            for each in archive.names
            if each.endswith(".npy")
        },
        shown,
    )


def picture_reader(parts: tuple[Part, ...], name: str) -> tuple[Callable[[int], bytes], str]:
    """A function from the row over all parts to a PNG of its image, and a note on the values that
    become black and white where these are not the usual ones.

    Black is 0, and white 1 for floats up to 1, 255 for bytes and what goes up to it, 65535 for
    what goes beyond. Where all images stay below half of that, as the digits of scikit-learn with
    their 0..16, or some are below 0, the range that they have is stretched.

    Raises ``BadInput`` for shapes that are no images, NaN and infinite values.
    """
    images = [_images(each.inputs, name) for each in parts]
    low, high = _range(images, name)
    ends = np.cumsum([len(each) for each in images])

    def read(row: int) -> bytes:
        part = int(np.searchsorted(ends, row, side="right"))
        image = np.asarray(images[part][row - int(ends[part])])
        if image.dtype != np.uint8 or high != _BYTE:
            image = np.rint((image.astype(np.float64) - low) * (255 / (high - low)))
        buffer = BytesIO()
        squeezed = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
        Image.fromarray(squeezed.astype(np.uint8)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    usual = low == 0 and high in (1.0, _BYTE, _WORD)
    return read, "" if usual else f"values from {low:g} (black) to {high:g} (white)"


def _member(archive: Archive, name: str) -> npt.NDArray[Any]:
    most = int(settings.value("array_gib") * 2**30)
    size = archive.size(name)
    if size > most + _HEADER:
        raise BadInput(
            f"'{name}' in '{archive.name}' takes {size / 2**30:.1f} GiB, at most {most / 2**30:g} "
            "GiB are read.",
            "Save it as .npy, which is read row by row, or raise the setting array_gib.",
        )
    raw = BytesIO(archive.read(name, most + _HEADER))
    try:
        version = np.lib.format.read_magic(raw)
        reader = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = reader(raw)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
        needed = dtype.itemsize * int(np.prod(shape, dtype=object))
        if needed != size - raw.tell():
            raise ValueError(f"its header claims {needed:,} bytes, {size - raw.tell():,} are there")
        raw.seek(0)
        found: npt.NDArray[Any] = np.lib.format.read_array(raw, allow_pickle=False)
    except (ValueError, TypeError, OverflowError, EOFError, MemoryError) as error:
        raise _refused(f"{name}' in '{archive.name}", str(error)) from None
    return found


def _refused(name: str, reason: str) -> BadInput:
    reason = reason.strip().split("\n")[0].rstrip(".")
    if any(word in reason for word in ("allow_pickle", "Object arrays", "Python objects")):
        return BadInput(f"'{name}' holds Python objects (a pickle), which are never opened.", _SAVE)
    if "mmap length" in reason:
        reason = "its header claims more than the file has"
    return BadInput(f"'{name}' cannot be read as an array: {reason[:160]}.", _SAVE)


def _one(values: npt.NDArray[Any], name: str) -> Arrays:
    if values.ndim < 1 or not len(values):
        raise BadInput(f"'{name}' has shape {values.shape}: no example.", _SHAPES)
    return Arrays((Part("", values, None),))


def _sorted_out(found: Mapping[str, npt.NDArray[Any]], name: str) -> Arrays:
    inputs: dict[str, npt.NDArray[Any]] = {}
    labels: dict[str, npt.NDArray[Any]] = {}
    named: dict[str, tuple[str, ...]] = {}
    rest = []
    for key, values in found.items():
        part, role = _role(key)
        if key.lower() in (*CLASSES, *COLUMNS) and values.ndim == 1:
            named["columns" if key.lower() in COLUMNS else "classes"] = tuple(map(str, values))
        elif role in LABELS and part not in labels:
            labels[part] = values
        elif role in INPUTS and part not in inputs:
            inputs[part] = values
        else:
            rest.append(key)
    if not inputs and len(rest) == 1:
        inputs[""] = found[rest.pop()]
    if not inputs:
        shapes = ", ".join(f"{key} {values.shape}" for key, values in list(found.items())[:6])
        raise BadInput(f"'{name}' holds {shapes or 'no array'}: which are the examples?", _SAVE)
    parts = []
    for part, values in inputs.items():
        said = labels.get(part)
        if said is not None:
            said = said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said
            if said.shape != values.shape[:1]:
                raise BadInput(
                    f"'{name}' has labels of shape {said.shape} for inputs of shape "
                    f"{values.shape}.",
                    "Save one label for each example.",
                )
        if values.ndim and len(values):
            parts.append(Part(part, values, said))
    if not parts:
        raise BadInput(f"'{name}' holds no example.", _SAVE)
    return Arrays(tuple(parts), named.get("classes", ()), named.get("columns", ()), tuple(rest))


def _role(key: str) -> tuple[str, str]:
    """The part and the role that a name tells: ``x_train`` is train and x."""
    words = [word for word in key.lower().replace("-", "_").split("_") if not word.isdigit()]
    parts = [part for word in words if (part := split_name(word))]
    role = "_".join(word for word in words if not split_name(word))
    return (parts[0] if parts else "", role)


def _images(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """The same as ``[example, row, column]`` or ``[example, row, column, channel]``."""
    if values.dtype.kind not in _NUMBERS:
        raise BadInput(f"'{name}' holds {values.dtype}, expected numbers.", _SHAPES)
    if values.ndim == 4 and values.shape[3] not in (1, 3) and values.shape[1] in (1, 3):
        values = np.moveaxis(values, 1, 3)
    most = 1e6 * settings.value("megapixels")
    shaped = values.ndim == 3 or (values.ndim == 4 and values.shape[3] in (1, 3))
    if shaped and 0 < values.shape[1] * values.shape[2] <= most:
        return values
    raise BadInput(f"'{name}' has images of shape {values.shape}.", _SHAPES)


def _range(images: list[npt.NDArray[Any]], name: str) -> tuple[float, float]:
    """The values that become black and white."""
    kinds = {each.dtype for each in images}
    if kinds == {np.dtype(bool)}:
        return 0.0, 1.0
    floats = any(kind.kind == "f" for kind in kinds)
    wide = {np.dtype(np.uint8): _BYTE, np.dtype(np.uint16): _WORD}
    sure = wide.get(next(iter(kinds)), 0.0) if len(kinds) == 1 else 0.0  # no value is beyond
    low, high = np.inf, -np.inf
    for each in images:
        rows = max(1, _BLOCK // (each[0].size or 1))
        for start in range(0, len(each), rows):
            block = each[start : start + rows]
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            if sure and 2 * high >= sure:
                return 0.0, sure
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(f"'{name}' holds NaN or infinite values.", "Replace them.")
    if low < 0 or high > _WORD:
        return low, high
    limit = next(each for each in ((1.0,) if floats else ()) + (_BYTE, _WORD) if high <= each)
    limit = sure or limit
    return 0.0, high if limit > 1 and 0 < 2 * high < limit else limit


def labels_of(parts: tuple[Part, ...], classes: tuple[str, ...]) -> list[str]:
    """The name of the class of each example over all parts, empty where it is not known."""
    said: list[str] = []
    for part in parts:
        if part.labels is None:
            said += [""] * len(part.inputs)
            continue
        whole = part.labels
        if whole.dtype.kind == "f" and np.array_equal(whole, np.rint(whole)):
            whole = whole.astype(np.int64)
        if whole.dtype.kind in "iub":
            numbers = whole.astype(np.int64).tolist()
            said += [
                classes[each] if 0 <= each < len(classes) else "" if each < 0 else str(each)
                for each in numbers
            ]
        elif whole.dtype.kind in "US":
            said += [each.strip() for each in whole.astype(str).tolist()]
        else:
            raise BadInput(
                f"The labels are {whole.dtype}, expected whole numbers or names.",
                f"They begin with {listed([str(each) for each in whole[:3]])}.",
            )
    return said
