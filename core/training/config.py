"""What one run trains, as a value that JSON can hold: recipe, data, settings and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.parameters import Value, checked
from core.paths import located
from core.training.recipe import recipe


@dataclass(frozen=True)
class Config:
    """Everything that determines a run on one device.

    ``settings`` has every declared parameter of the recipe; ``data`` is the path of a person's own
    data as given, or empty for the recipe's own.
    """

    recipe: str
    settings: Mapping[str, Value]
    data: str = ""
    seed: int = 0
    device: str = "auto"

    @classmethod
    def of(
        cls,
        name: str,
        given: Mapping[str, object] | None = None,
        *,
        data: str | Path | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> Config:
        """The config of a recipe with some settings given and the others at their defaults.

        Raises ``UnknownName`` or ``BadParameter``.
        """
        declared = recipe(name)
        settings = checked(declared.declared, given or {}, f"the recipe {name}")
        place = str(located(data)) if data else ""
        return cls(name, settings, place, seed, device)

    @property
    def epochs(self) -> int:
        """Passes over the training examples."""
        return int(self.settings["epochs"])

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary for ``json.dumps``."""
        return {
            "recipe": self.recipe,
            "settings": dict(self.settings),
            "data": self.data,
            "seed": self.seed,
            "device": self.device,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """The config in a plain dictionary, checked again.

        Raises ``UnknownName`` or ``BadParameter``; ``KeyError`` and ``TypeError`` when it is not a
        config at all.
        """
        checked_again = cls.of(value["recipe"], value["settings"])
        return cls(
            checked_again.recipe,
            checked_again.settings,
            str(value["data"]),
            int(value["seed"]),
            str(value["device"]),
        )
