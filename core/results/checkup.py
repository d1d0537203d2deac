"""What a check-up of a model found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.provenance import Provenance
from core.results.architecture import Fit
from core.results.attention import AttentionLayer

Level = Literal["good", "note", "warning", "bad"]
LEVELS: tuple[Level, ...] = ("good", "note", "warning", "bad")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was ``found`` in one sentence, and the ``advice`` on what
    to do about it, empty where nothing is to be done.

    ``good`` is as it should be; ``note`` is worth knowing; ``warning`` limits what can be done or
    how far it can be trusted; ``bad`` makes results wrong.
    """

    name: str
    title: str
    level: Level
    found: str
    advice: str = ""


@dataclass(frozen=True)
class CheckUp:
    """A model looked over before it is used.

    ``parameters`` counts numbers; ``disk_bytes`` is the file of the weights (0 where there is
    none), ``device_bytes`` what weights and buffers take on the device, ``pass_bytes`` all that one
    forward of one example makes on its way, ``free_bytes`` what the device had left (0 if unknown).
    ``forward_seconds`` is a forward of one example alone. ``input_shape`` and ``outputs`` leave out
    the examples. ``operators`` counts calls of ATen operators in that forward, the most frequent
    first. ``layers`` are those that a capture takes by default, ``left_out`` others with the
    reason; ``fits`` tells how well each attribution method fits, empty when that cannot be told;
    ``attention`` are the layers of attention in the order in which they compute.
    """

    model: str
    findings: tuple[Finding, ...]
    parameters: int
    disk_bytes: int
    device_bytes: int
    pass_bytes: int
    free_bytes: int
    forward_seconds: float
    input_shape: tuple[int, ...]
    outputs: int
    operators: Mapping[str, int]
    layers: tuple[str, ...]
    left_out: Mapping[str, str]
    fits: Mapping[str, Fit]
    attention: tuple[AttentionLayer, ...]
    provenance: Provenance

    @property
    def level(self) -> Level:
        """The worst level of any finding."""
        return max((each.level for each in self.findings), key=LEVELS.index, default="good")

    def at(self, level: Level) -> tuple[Finding, ...]:
        """The findings of one level, in the order in which they were made."""
        return tuple(each for each in self.findings if each.level == level)
