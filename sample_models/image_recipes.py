"""Recipes that learn from images, as declarations: nothing here imports torch."""

from __future__ import annotations

from core.parameters import Parameter
from core.tasks import Task
from core.training.recipe import Recipe

_DROPOUT = Parameter(
    "dropout",
    "float",
    0.5,
    "Share of units left out of each update before the last layer.",
    0,
    0.95,
)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="digits_cnn",
        title="Handwritten digits (CNN)",
        summary=(
            "Reads one handwritten digit from 0 to 9, light on a dark background, 28 × 28 pixels. "
            "It is a good first model to explain; it knows nothing but single digits, so a letter "
            "or an empty page still gets a digit."
        ),
        teaches="How a convolutional network learns to read digits within a few epochs.",
        reaches="98.6 % of held-out digits",
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.digits_cnn:trainable",
        factory="sample_models.digits_cnn:build",
        parameters=(
            _DROPOUT,
            Parameter("augment", "bool", True, "Vary each digit at random: turn, shift, thicken."),
        ),
        defaults={
            "epochs": 40,
            "lr": 2e-3,
            "weight_decay": 1e-2,
            "schedule": "one_cycle",
            "gradient_clip": 1.0,
        },
    ),
)
