"""One piece of work as a value: which verb, on which model, with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.models.reference import ModelRef
from core.provenance import sha256_of_json, versions
from core.tasks import Example


@dataclass(frozen=True)
class Call:
    """A pure function call: equal calls give equal results, wherever they run.

    ``verb`` names a function in ``core.engine.verbs``; ``parameters`` hold JSON values only.
    ``urgent`` calls are served before the others and do not change the result.
    """

    verb: str
    model: ModelRef
    inputs: tuple[Example, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    urgent: bool = False

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that determines the result, versions included."""
        return sha256_of_json(
            {
                "verb": self.verb,
                "model": [self.model.name, self.model.fingerprint],
                "inputs": [[example.name, example.sha256] for example in self.inputs],
                "parameters": dict(self.parameters),
                "seed": self.seed,
                "device": self.device,
                "versions": versions(),
            }
        )
