"""Values to bytes and back without pickle: results, calls and messages as one uncompressed npz.

The archive holds arrays as ``0.npy``, ``1.npy`` …, byte strings as ``2.bin``, and
``document.json``, in which everything that JSON does not know carries a type tag ``"~"``. Only the
types that a codec was made with can come out of it, so bytes from a stranger or from a hijacked
worker cannot run code; arrays grow no larger than they are there, and the document is limited.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import IO, Any

import numpy as np

from core.errors import StorageError
from core.paths import LARGEST_JSON
from core.progress import Progress
from core.provenance import Provenance
from core.results import (
    Architecture,
    AttentionAxis,
    AttentionContrast,
    AttentionFlow,
    AttentionLayer,
    AttentionMaps,
    AttentionOverview,
    Attribution,
    AttributionContrast,
    Behaviour,
    BlobSeries,
    CheckUp,
    Clusters,
    Comparison,
    ConceptScores,
    Cost,
    Costs,
    Counterfactual,
    CrossSimilarity,
    Curve,
    DataSurvey,
    Dependence,
    Drift,
    Evaluation,
    Filters,
    Finding,
    Fit,
    Flip,
    GradientFlow,
    Group,
    Groups,
    HistogramSeries,
    History,
    Importance,
    Influence,
    Insides,
    Interaction,
    LayerBehaviour,
    LayerInfo,
    LayerTimes,
    LogitLens,
    Measure,
    PairedMeasure,
    PairedTest,
    Placement,
    Prediction,
    Probes,
    Production,
    Projection,
    RelevantExamples,
    Reliability,
    RowChange,
    Series,
    Slice,
    Surrogate,
    Sweep,
    Trust,
    UnitAttribution,
    WithoutUnits,
    Written,
    WrittenContrast,
)
from core.tasks import Columns, Example, PixelGrid, Target, Task, Tokens

RESULT_TYPES: tuple[type, ...] = (
    Architecture,
    AttentionAxis,
    AttentionContrast,
    AttentionFlow,
    AttentionLayer,
    AttentionMaps,
    AttentionOverview,
    Attribution,
    AttributionContrast,
    Behaviour,
    BlobSeries,
    CheckUp,
    Clusters,
    Columns,
    Comparison,
    ConceptScores,
    Cost,
    Costs,
    Counterfactual,
    CrossSimilarity,
    Curve,
    DataSurvey,
    Dependence,
    Drift,
    Evaluation,
    Example,
    Filters,
    Finding,
    Fit,
    Flip,
    GradientFlow,
    Group,
    Groups,
    HistogramSeries,
    History,
    Importance,
    Influence,
    Insides,
    Interaction,
    LayerBehaviour,
    LayerInfo,
    LayerTimes,
    LogitLens,
    Measure,
    PixelGrid,
    PairedMeasure,
    PairedTest,
    Placement,
    Prediction,
    Probes,
    Production,
    Progress,
    Projection,
    Reliability,
    Provenance,
    RelevantExamples,
    RowChange,
    Series,
    Slice,
    Surrogate,
    Sweep,
    Target,
    Task,
    Tokens,
    Trust,
    UnitAttribution,
    WithoutUnits,
    Written,
    WrittenContrast,
)
_DOCUMENT = "document.json"
_TAG = "~"
_KINDS = "biuf"  # bool, signed, unsigned, floating
_LARGEST = 4 * 1024**3


class Codec:
    """Encodes and decodes plain values, arrays, and the dataclasses and enumerations in ``types``.

    ``None``, bool, int, float, str, bytes, list, tuple and mappings with string keys are always
    known. Decoded arrays are read-only, since a result may be shared; mappings become ``dict``,
    numpy scalars Python numbers.
    """

    def __init__(self, types: Iterable[type]) -> None:
        self._types = {kind.__name__: kind for kind in types}

    def encode(self, value: Any) -> bytes:
        """The bytes of ``value``. Raises ``TypeError`` for a type that is not known."""
        members: dict[int, tuple[str, Any]] = {}
        document = json.dumps(self._pack(value, members), separators=(",", ":"))
        if len(document) > LARGEST_JSON:
            raise TypeError(f"{len(document):,} characters are too many: keep numbers in arrays")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.values():
                with archive.open(name, "w") as member:
                    if isinstance(content, bytes):
                        member.write(content)
                    else:
                        _write_npy(member, content)
            archive.writestr(_DOCUMENT, document)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Any:
        """The value in ``data``.

        Raises ``StorageError`` for anything that ``encode`` cannot have made: cut off, changed,
        compressed, of an unknown type, or with a shape that its class refuses.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return self._unpack(*_members(archive, len(data)))
        except StorageError:
            raise
        except Exception as error:  # hostile bytes can raise anything in zipfile, json and numpy
            raise _damaged(f"{type(error).__name__}: {error}"[:200]) from error

    def _pack(self, value: Any, members: dict[int, tuple[str, Any]]) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, StrEnum) and type(value).__name__ in self._types:
            return {_TAG: type(value).__name__, "of": str(value)}
        if isinstance(value, str):
            return str(value)
        if isinstance(value, (bytes, np.ndarray)):
            # One member per object: maps of one example share its picture.
            kind = "bytes" if isinstance(value, bytes) else "array"
            name = f"{len(members)}.{'bin' if kind == 'bytes' else 'npy'}"
            return {_TAG: kind, "of": members.setdefault(id(value), (name, value))[0]}
        if isinstance(value, list):
            return [self._pack(item, members) for item in value]
        if isinstance(value, tuple):
            return {_TAG: "tuple", "of": [self._pack(item, members) for item in value]}
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                raise TypeError(f"a mapping to store has names that are not str: {value!r:.200}")
            of = {str(name): self._pack(item, members) for name, item in value.items()}
            return {_TAG: "dict", "of": of}
        if is_dataclass(value) and self._types.get(type(value).__name__) is type(value):
            of = {f.name: self._pack(getattr(value, f.name), members) for f in fields(value)}
            return {_TAG: type(value).__name__, "of": of}
        raise TypeError(
            f"a value of type {type(value).__name__} cannot be stored, expected results, arrays, "
            f"bytes and JSON values"
        )

    def _unpack(self, document: Any, members: Mapping[str, Any]) -> Any:
        if isinstance(document, list):
            return [self._unpack(item, members) for item in document]
        if not isinstance(document, dict):
            return document
        if set(document) != {_TAG, "of"}:
            raise _damaged("an object without a type")
        tag, of = document[_TAG], document["of"]
        if tag in ("array", "bytes"):
            if isinstance(members[of], bytes) is not (tag == "bytes"):
                raise _damaged(f"{of} is not of type {tag}")
            return members[of]
        if tag == "tuple":
            return tuple(self._unpack(item, members) for item in of)
        if tag == "dict":
            return {name: self._unpack(item, members) for name, item in of.items()}
        kind = self._types.get(tag)
        if kind is None:
            raise _damaged(f"the unknown type {str(tag)[:40]!r}")
        if issubclass(kind, StrEnum):
            return kind(of)
        return kind(**{name: self._unpack(item, members) for name, item in of.items()})


def _write_npy(member: IO[bytes], array: np.ndarray[Any, Any]) -> None:
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"an array of {array.dtype} cannot be stored, expected numbers or bool")
    np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def _members(archive: zipfile.ZipFile, size: int) -> tuple[Any, dict[str, Any]]:
    infos = archive.infolist()
    names = {info.filename for info in infos}
    if len(names) != len(infos) or any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise _damaged("compressed or doubled members")
    if sum(info.file_size for info in infos) > min(size, _LARGEST):  # members that overlap
        raise _damaged("members larger than the whole")
    if archive.getinfo(_DOCUMENT).file_size > LARGEST_JSON:
        raise _damaged("a document that is too large")
    members: dict[str, Any] = {}
    for name in names - {_DOCUMENT}:
        content = archive.read(name)
        members[name] = _array(content) if name.endswith(".npy") else content
    return json.loads(archive.read(_DOCUMENT)), members


def _array(content: bytes) -> np.ndarray[Any, Any]:
    """A read-only view of the content, so that a header that lies cannot allocate anything."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise _damaged("an array of another format version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if (
        dtype.kind not in _KINDS
        or dtype.hasobject
        or len(content) - file.tell() != (math.prod(shape) * dtype.itemsize)
    ):
        raise _damaged("an array whose header does not fit its content")
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _damaged(what: str) -> StorageError:
    return StorageError(
        f"Stored data cannot be read: {what}.", "It is damaged or from another version."
    )


_RESULTS = Codec(RESULT_TYPES)
encode = _RESULTS.encode
decode = _RESULTS.decode
