"""Files of skops: what they say of themselves, read without importing what they hold, and the
estimator in them, built of allowed types alone.

A ``.skops`` file is a zip with ``schema.json``, a tree of types and values, and arrays as ``.npy``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.data.archive import is_zip
from core.data.members import DAMAGE, Bounds, opened
from core.errors import BadModel, MissingExtra, shortened

MAX_BYTES: Final = 2**30  # of all that is in the file, unpacked
MAX_SCHEMA: Final = 2**26
MAX_MEMBERS: Final = 50_000
SCHEMA: Final = "schema.json"
# Besides what skops itself trusts: estimators of scikit-learn, containers, arrays, numpy's ufuncs.
# Trees are checked once they are built (``core.models.trees``).
ALLOWED: Final = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
_AGAIN = "Save it again with skops.io.dump(estimator, path)."
_EXTRA = "pip install 'fluoroscope[sklearn]'"


class Saved:
    """An object of a file as its file describes it: ``kind`` is the name of its class, and
    ``state(name)`` one of its attributes. Objects in it are ``Saved`` too; nothing is imported.
    """

    def __init__(self, kind: str, state: dict[str, Any], file: SkopsFile) -> None:
        self.kind = kind
        self._state = state
        self._file = file

    def state(self, name: str, default: Any = None) -> Any:
        """An attribute; ``default`` where it has none of this name, or None."""
        if name not in self._state:
            return default
        found = self._file.value(self._state[name])
        return default if found is None else found


class SkopsFile:
    """A file that was looked at: its sizes are within limits and its schema is JSON."""

    def __init__(self, path: Path) -> None:
        """Raises ``BadModel`` for what is no such file, or too large."""
        self.path = path
        if path.is_file() and not is_zip(path):
            raise BadModel(f"'{path.name}' is no file of skops.", _AGAIN)
        bounds = Bounds(MAX_MEMBERS, MAX_BYTES, inf)
        archive, files = opened(path, path.name, error=BadModel, bounds=bounds, again=_AGAIN)
        with archive:
            if SCHEMA not in files or files[SCHEMA].file_size > MAX_SCHEMA:
                raise BadModel(
                    f"'{path.name}' is no file of skops: it has no schema of at most "
                    f"{MAX_SCHEMA // 2**20} MiB.",
                    _AGAIN,
                )
            try:
                self.schema = json.loads(archive.read(SCHEMA))
            except (*DAMAGE, RecursionError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise BadModel(
                    f"'{path.name}' is no file of skops: {shortened(reason, 120).rstrip('.')}.",
                    _AGAIN,
                ) from None
        self._known: dict[Any, Any] = {}
        try:
            self._known = {
                each["__id__"]: each
                for each in _nodes(self.schema)
                if "__id__" in each and each.get("__loader__") != "CachedNode"
            }
        except (TypeError, RecursionError):
            raise BadModel(f"The schema of '{path.name}' makes no sense.", _AGAIN) from None

    def root(self) -> Saved:
        """The object that was saved.

        Raises ``BadModel`` where it is none.
        """
        found = self.value(self.schema)
        if not isinstance(found, Saved):
            raise BadModel(f"'{self.path.name}' holds no estimator.", _AGAIN)
        return found

    def value(self, node: Any) -> Any:
        """What a node of the schema stands for: numbers, texts, lists, arrays, ``Saved``; None for
        what cannot be told.
        """
        try:
            return self._value(node)
        except (KeyError, ValueError, TypeError, OSError, RecursionError, zipfile.BadZipFile,
                MemoryError):  # fmt: skip
            return None

    def _value(self, node: Any) -> Any:
        loader, content = node["__loader__"], node.get("content")
        if loader == "CachedNode":
            return self._value(self._known[node["__id__"]])
        if loader == "JsonNode":
            return json.loads(content)
        if loader in ("ListNode", "TupleNode"):
            return [self._value(each) for each in content]
        if loader == "DictNode":
            return {name: self._value(each) for name, each in content.items()}
        if loader == "SliceNode":
            return slice(content["start"], content["stop"], content["step"])
        if loader == "NdArrayNode":
            if node["type"] != "numpy":
                return [self._value(each) for each in content]
            with zipfile.ZipFile(self.path) as archive:  # looked over already
                return np.load(BytesIO(archive.read(node["file"])), allow_pickle=False)
        if loader == "ObjectNode":
            state = content["content"] if content else {}
            return Saved(str(node["__class__"]), state, self)
        return None


def read(path: Path) -> Any:
    """The estimator in a file.

    Raises ``MissingExtra`` without skops, ``BadModel`` for a file that holds a type which is not
    allowed (none of it is built then), or that cannot be read.
    """
    SkopsFile(path)
    try:
        from skops import io
    except ImportError:
        raise MissingExtra(
            f"'{path.name}' is read by an optional package.", f"Install it with: {_EXTRA}."
        ) from None
    import warnings

    from core.models.trees import check

    try:
        with warnings.catch_warnings():  # that it was saved by another version, the card says
            warnings.simplefilter("ignore")
            strange = sorted(set(io.get_untrusted_types(file=path)) - {*ALLOWED})
            if not strange:
                found = io.load(path, trusted=list(ALLOWED))
                check(found, path.name)
                return found
    except BadModel:
        raise
    except Exception as error:  # a stranger's file may break a reader in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadModel(
            f"'{path.name}' cannot be read: {shortened(reason, 160).rstrip('.')}.",
            "It may be damaged, or saved by another version of scikit-learn.",
        ) from None
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    hint = " Neighbours are read with algorithm='brute'." if "_tree.KDTree" in str(strange) else ""
    raise BadModel(
        f"'{path.name}' holds types that are not allowed: {', '.join(strange[:3])}{more}. None of "
        "it was run.",
        f"Expected estimators and pipelines of scikit-learn alone.{hint}",
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "__loader__" in tree:
            yield tree
        for each in tree.values():
            yield from _nodes(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
