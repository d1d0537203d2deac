"""The smallest change of a text that changes the answer."""

from __future__ import annotations

from dataclasses import dataclass

from core.provenance import Provenance
from core.results.prediction import Prediction


@dataclass(frozen=True)
class Flip:
    """Words whose removal changes the predicted class, as few as were found.

    ``words`` in the order of the text, ``spans`` their characters, half open, in what was read of
    it (``before.axis.text``: the whole text unless it was cut); ``text`` is what is left.
    ``before`` and ``after`` are the answers with and without the words; ``after`` is None, and
    there are no words, where nothing that was tried changes the class. ``proven_smallest`` says
    that every smaller set was tried; ``tried`` counts the sets.
    """

    example: str
    replacement: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    text: str
    before: Prediction
    after: Prediction | None
    proven_smallest: bool
    tried: int
    provenance: Provenance

    @property
    def found(self) -> bool:
        """Whether the answer changes."""
        return self.after is not None
