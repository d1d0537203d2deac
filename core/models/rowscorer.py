"""Models that answer rows of a table without gradients, as modules: an estimator of scikit-learn or
an ONNX graph, asked on the CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.errors import BadInput, BadModel, FluoroscopeError, MissingExtra, shortened

if TYPE_CHECKING:
    import pandas as pd

FLOOR: Final = 1e-6  # the probability that counts as the least
NUMBER, MISSING, WORDS = 0, 1, 2  # codes of a value; words are numbered from WORDS on
Table = npt.NDArray[np.float64]


class Shared:
    """What a second module of the same weights shares with the first."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class Words(Shared):
    """Texts by number: tensors hold no texts."""

    def __init__(self) -> None:
        self._all: list[str] = []
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()

    def code(self, text: str) -> int:
        """The code of a text, the same for the same text."""
        with self._lock:
            if text not in self._places:
                self._places[text] = len(self._all) + WORDS
                self._all.append(text)
            return self._places[text]

    def text(self, code: int) -> str:
        """The text of a code."""
        return self._all[code - WORDS]


class Answering(Shared):
    """What answers a table with probabilities ``[row, class]``."""

    def __init__(self, answer: Callable[[pd.DataFrame], Any]) -> None:
        self.answer = answer


class RowScorer(nn.Module):
    """A model with the one layer that it has."""

    def __init__(self, estimator: Estimator) -> None:
        super().__init__()
        self.estimator = estimator

    @property
    def words(self) -> Words:
        """The texts that rows are told in."""
        return self.estimator.words

    def forward(self, rows: Tensor) -> Tensor:
        """See ``Estimator``."""
        answer: Tensor = self.estimator(rows)
        return answer


class Estimator(nn.Module):
    """Rows ``[example, column, 2]``, a number and what it is (a number, a missing value, a word),
    to log-probabilities ``[example, class]``, float32; one below 1e-6 counts as 1e-6.
    """

    def __init__(self, answering: Answering, columns: Sequence[str], texts: Sequence[str]) -> None:
        super().__init__()
        self.words = Words()
        self._answering = answering
        self._columns = tuple(columns)
        self._texts = frozenset(texts)

    def forward(self, rows: Tensor) -> Tensor:
        """Ask.

        Raises ``BadInput`` when a row is refused, ``BadModel`` for an answer of another kind.
        """
        frame = self._frame(rows.detach().cpu().double().numpy())
        try:
            answer = np.asarray(self._answering.answer(frame), np.float64)
        except FluoroscopeError:
            raise
        except Exception as error:  # whatever a stranger's pipeline raises of a value
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInput(
                f"The model refuses such a row: {shortened(reason, 160).rstrip('.')}.",
                "Give values as it was fitted on; only some pipelines take missing ones.",
            ) from None
        if answer.ndim != 2 or len(answer) != len(frame):
            raise BadModel(
                f"The model answers {len(frame)} rows with an array {answer.shape}.",
                "Expected probabilities [row, class].",
            )
        return torch.from_numpy(np.log(np.clip(answer, FLOOR, 1.0))).float().to(rows.device)

    def _frame(self, rows: Table) -> pd.DataFrame:
        import pandas as pd

        made = {
            name: self._column(rows[:, place, 0], np.rint(rows[:, place, 1]).astype(int), name)
            for place, name in enumerate(self._columns)
        }
        return pd.DataFrame(made)

    def _column(self, numbers: Table, codes: npt.NDArray[np.int_], name: str) -> npt.NDArray[Any]:
        if name not in self._texts and (codes < WORDS).all():
            return np.where(codes == MISSING, np.nan, numbers)
        values = numbers.astype(object)
        values[codes == MISSING] = np.nan
        for place in np.flatnonzero(codes >= WORDS):
            values[place] = self.words.text(int(codes[place]))
        return values


def load(path: str, columns: Sequence[str], texts: Sequence[str] = ()) -> RowScorer:
    """The model in a ``.skops`` or ``.onnx`` file.

    Raises ``MissingExtra`` without the package that reads it, ``BadModel`` for what cannot be read.
    """
    place = Path(path)
    made = _onnx(place) if place.suffix.lower() == ".onnx" else _estimator(place)
    return RowScorer(Estimator(made, columns, texts))


def _estimator(path: Path) -> Answering:
    from core.models.skopsfile import read

    found = read(path)
    if not hasattr(found, "predict_proba"):
        raise BadModel(
            f"The {type(found).__name__} in '{path.name}' gives no probabilities.",
            "Expected a fitted classifier with predict_proba; CalibratedClassifierCV adds it.",
        )
    named = hasattr(found, "feature_names_in_")

    def answer(frame: pd.DataFrame) -> Any:
        return found.predict_proba(frame if named else frame.to_numpy())

    return Answering(answer)


def _onnx(path: Path) -> Answering:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra(
            f"'{path.name}' is read by an optional package.",
            "Install it with: pip install 'fluoroscope[sklearn]'.",
        ) from None
    from core.models.formats.onnxbytes import whole

    data = whole(path)  # or the library would follow weights to other files
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadModel(
            f"'{path.name}' is no ONNX graph that runs here: {shortened(reason, 160).rstrip('.')}.",
            "Export it again, with standard operators and its weights inside.",
        ) from None
    inputs, output = session.get_inputs(), _probabilities(session)

    def answer(frame: pd.DataFrame) -> Any:
        if len(inputs) not in (1, len(frame.columns)):
            raise BadModel(
                f"'{path.name}' has {len(inputs)} inputs for {len(frame.columns)} columns.",
                "Expected one input for all columns, or one for each.",
            )
        parts = [frame] if len(inputs) == 1 else [frame.iloc[:, [i]] for i in range(len(inputs))]
        fed = {i.name: _tensor(part, i.type) for i, part in zip(inputs, parts, strict=True)}
        (found,) = session.run([output], fed)
        if isinstance(found, list):  # a dictionary of probabilities by class for each row
            return [list(each.values()) for each in found]
        return found

    return Answering(answer)


def _probabilities(session: Any) -> str:
    """The name of the output that holds probabilities: the one called so, else the last."""
    names = [str(each.name) for each in session.get_outputs()]
    return next((name for name in names if "prob" in name.lower()), names[-1])


def _tensor(part: pd.DataFrame, kind: str) -> npt.NDArray[Any]:
    if "string" in kind:
        return np.asarray(part.fillna("").astype(str).to_numpy(), dtype=object)
    types = {"tensor(double)": np.float64, "tensor(int64)": np.int64}
    return part.to_numpy().astype(types.get(kind, np.float32))
