"""What can be trained: recipes as declared values, found without importing torch.

Packages announce recipes through the entry-point group ``fluoroscope.recipes``: a function that
returns them. What a recipe shares with every other (optimiser, schedule, epochs …) is declared once
in ``PARAMETERS``; a recipe says only where its defaults differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import metadata
from typing import Literal

from core.errors import UnknownName
from core.parameters import Parameter, Value
from core.tasks import Task

DataKind = Literal["images", "table", "texts", "sentence pairs", "points"]

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("epochs", "int", 10, "Passes over the training examples.", 1, 100_000),
    Parameter("batch_size", "int", 128, "Examples per update.", 1, 1_000_000),
    Parameter(
        "optimiser",
        "choice",
        "adamw",
        "Rule that turns gradients into updates.",
        choices=("adamw", "adam", "sgd"),
    ),
    Parameter("lr", "float", 1e-3, "Learning rate, at its peak.", 0, 1e12, label="Learning rate"),
    Parameter("momentum", "float", 0.9, "Momentum of sgd.", 0, 1, advanced=True),
    Parameter(
        "weight_decay",
        "float",
        0.0,
        "Pull of the weights towards zero (L2; decoupled in adamw).",
        0,
        1e3,
    ),
    Parameter(
        "schedule",
        "choice",
        "constant",
        "How the learning rate moves.",
        choices=("constant", "cosine", "one_cycle", "step", "plateau"),
        advanced=True,
    ),
    Parameter(
        "warmup",
        "int",
        0,
        "Updates over which the learning rate rises from 0 to its peak.",
        0,
        1_000_000,
        unit="steps",
        advanced=True,
    ),
    Parameter(
        "label_smoothing", "float", 0.0, "Share given to other classes.", 0, 1, advanced=True
    ),
    Parameter(
        "gradient_clip",
        "float",
        0.0,
        "Largest norm of all gradients together; 0 clips nothing.",
        0,
        1e12,
        advanced=True,
    ),
    Parameter(
        "accumulate",
        "int",
        1,
        "Batches whose gradients are added up for one update.",
        1,
        100_000,
        advanced=True,
    ),
    Parameter(
        "patience",
        "int",
        0,
        "Epochs without a lower validation loss after which training stops early; 0 never does.",
        0,
        100_000,
        advanced=True,
    ),
    Parameter(
        "precision",
        "choice",
        "auto",
        "Numbers that the network computes with; auto is mixed where the device gains by it.",
        choices=("auto", "32", "bf16-mixed", "16-mixed"),
        advanced=True,
    ),
    Parameter("compile", "bool", False, "Compile the network with torch.compile.", advanced=True),
    Parameter(
        "workers", "int", 0, "Processes that prepare batches; 0 is none.", 0, 256, advanced=True
    ),
    Parameter(
        "devices",
        "int",
        1,
        "Devices of one kind that share the examples of each batch: several GPUs, or processes.",
        1,
        1024,
        advanced=True,
    ),
    Parameter(
        "threads",
        "int",
        0,
        "Threads of the processor; 0 takes the fastest number, by a short measurement. Only with "
        "the same number are two runs the same to the last bit.",
        0,
        4096,
        advanced=True,
    ),
    Parameter(
        "histogram_every",
        "int",
        0,
        "Updates between histograms of weights and gradients; 0 takes them once per epoch.",
        0,
        1_000_000,
        unit="steps",
        advanced=True,
    ),
    Parameter(
        "checkpoint_every",
        "int",
        1,
        "Epochs between checkpoints.",
        1,
        100_000,
        unit="epochs",
        advanced=True,
    ),
    Parameter(
        "checkpoint_steps",
        "int",
        0,
        "Updates between checkpoints within an epoch; 0 writes none.",
        0,
        1_000_000_000,
        unit="steps",
        advanced=True,
    ),
    Parameter("keep_last", "int", 2, "Newest checkpoints to keep.", 1, 100_000, advanced=True),
    Parameter(
        "keep_every",
        "int",
        1,
        "Keep the weights of every n-th epoch for the time machine; 0 keeps none.",
        0,
        100_000,
        unit="epochs",
        advanced=True,
    ),
)


@dataclass(frozen=True)
class Recipe:
    """Something that can be trained, as a value.

    ``make`` is ``"module:function"``, called as ``make(settings, data, seed) -> Trainable`` with
    checked settings and the ``Path`` of a person's own data or None for the recipe's own;
    ``factory`` is ``"module:function"``, called with keyword arguments, that gives the bare
    architecture. ``parameters`` are its own; ``defaults`` differ from those of ``PARAMETERS``.
    ``sweep`` maps parameters to the values that one command trains through, as a grid.
    ``teaches`` says in a sentence what is to be seen in its curves, ``reaches`` what it must reach.
    ``data_kind`` is what it learns from, for the forms that ask for a person's own data.
    ``tokenizer`` is ``"module:function"``, called with the model's card, for models of texts.
    """

    name: str
    title: str
    summary: str
    teaches: str
    reaches: str
    task: Task
    data_kind: DataKind
    make: str
    factory: str
    parameters: tuple[Parameter, ...] = ()
    defaults: Mapping[str, Value] = field(default_factory=dict)
    sweep: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    tokenizer: str = ""

    @cached_property
    def declared(self) -> tuple[Parameter, ...]:
        """All parameters with this recipe's defaults: its own first, then the shared ones."""
        names = {parameter.name for parameter in self.parameters}
        shared = (parameter for parameter in PARAMETERS if parameter.name not in names)
        return self.parameters + tuple(
            replace(each, default=self.defaults.get(each.name, each.default)) for each in shared
        )


@cache
def recipes() -> dict[str, Recipe]:
    """Every announced recipe by name, in the order announced."""
    found: dict[str, Recipe] = {}
    for entry in metadata.entry_points(group="fluoroscope.recipes"):
        for recipe in entry.load()():
            found[recipe.name] = recipe
    return found


def recipe(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises ``UnknownName`` with the nearest names.
    """
    known = recipes()
    if name not in known:
        raise UnknownName.of("recipe", name, known, "See `fluoroscope list recipes`.")
    return known[name]
