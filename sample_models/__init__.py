"""Trained sample models: one file each, with weights, card and held-out examples in ``weights/``.

Guests of Fluoroscope: announced through the entry-point group ``fluoroscope.models``, the way any
other package may announce its own. Nothing here imports torch until a model is built.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.training.recipe import Recipe

MODELS = ("digits_cnn", "fashion_cnn", "fashion_vit", "imagenet_efficientnet")
TEXT_MODELS = (
    "text_rnn",
    "sentiment",
    "translator",
    "tiny_lm",
    "minilm",
    "sentiment_minilm",
)  # of the sample runs, or of a package
TABLE_MODELS = ("tabular_mlp", "two_features")

# Files that declare a ``RECIPES``  for training, in the order shown.
TRAINED: tuple[str, ...] = ("image_recipes", "text_recipes", "table_recipes")


def recipes() -> tuple[Recipe, ...]:
    """What can be trained, as declarations."""
    modules = [importlib.import_module(f"sample_models.{name}") for name in TRAINED]
    return tuple(recipe for module in modules for recipe in module.RECIPES)


def runs() -> Path:
    """The folder of the sample runs."""
    return Path(__file__).parent / "runs"


def catalogue() -> tuple[Path, ...]:
    """The paths of the models' ``card.json`` files, in the order in which they are shown."""
    weights = Path(__file__).parent / "weights"
    cards = [weights / name / "card.json" for name in MODELS]
    for name in (*TEXT_MODELS, *TABLE_MODELS):
        shipped = weights / name / "card.json"
        cards.append(shipped if shipped.is_file() else runs() / name / "card.json")
    return tuple(card for card in cards if card.is_file())


def held_out() -> dict[str, str]:
    """Functions that open the held-out examples of each model or recipe, by its name."""
    functions = {
        "digits_cnn": "digits",
        "fashion_cnn": "clothes",
        "fashion_vit": "clothes",
        "imagenet_efficientnet": "photographs",
        "text_rnn": "software",
        "minilm": "software",
        "sentiment": "sentences",
        "sentiment_minilm": "sentences",
        "translator": "translations",
        "tiny_lm": "openings",
        "tabular_mlp": "tumours",
        "two_features": "points",
    }
    return {name: f"sample_models.heldout:{function}" for name, function in functions.items()}


def examples() -> Path:
    """The folder of example images with its ``index.json``: the checkout's, else the installed."""
    beside = Path(__file__).parents[1] / "assets" / "examples"
    return beside if beside.is_dir() else Path(sys.prefix) / "share" / "fluoroscope" / "examples"
