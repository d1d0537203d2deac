"""Recipes that learn from tables and points, as declarations: nothing here imports torch."""

from __future__ import annotations

from core.parameters import Parameter
from core.tasks import Task
from core.training.recipe import Recipe

_DROPOUT = Parameter("dropout", "float", 0.2, "Share of units left out of each update.", 0, 0.95)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="two_features",
        title="Two features, one hidden layer",
        summary=(
            "Tells two half-moons of points apart: two features, one hidden layer, one "
            "probability. Small enough to see all that it knows in one picture; it learns from 100 "
            "points by plain gradient descent, all of them in every update."
        ),
        teaches=(
            "How a decision boundary bends around the points, iteration by iteration, while the "
            "loss falls; and what sigmoid, ReLU and tanh change about it."
        ),
        reaches="a boundary that no straight line could be, after 100 iterations",
        task=Task.TABULAR_CLASSIFICATION,
        data_kind="points",
        make="sample_models.table_training:points",
        factory="sample_models.two_features:TwoFeatures",
        parameters=(
            Parameter(
                "activation",
                "choice",
                "sigmoid",
                "What the hidden units make of their sum.",
                choices=("sigmoid", "relu", "tanh"),
            ),
            Parameter("hidden", "int", 16, "Units of the hidden layer.", 1, 10_000),
        ),
        defaults={
            "epochs": 100,
            "batch_size": 1_000,
            "optimiser": "sgd",
            "momentum": 0.0,
            "lr": 10.0,
        },
        sweep={"activation": ("sigmoid", "relu", "tanh")},
    ),
    Recipe(
        name="tabular_mlp",
        title="Breast cancer (dense network)",
        summary=(
            "Tells benign from malignant tumours by 30 measurements of their cell nuclei. It shows "
            "what explanations of a table look like; it is not for medical use."
        ),
        teaches="How a dense network on a small table learns fast and overfits soon.",
        reaches="within 1 point of tuned gradient-boosted trees",
        task=Task.TABULAR_CLASSIFICATION,
        data_kind="table",
        make="sample_models.table_training:tabular",
        factory="sample_models.tabular_mlp:TabularMLP",
        parameters=(
            Parameter("hidden", "int", 64, "Units of each hidden layer.", 1, 100_000),
            Parameter("layers", "int", 2, "Hidden layers.", 1, 100),
            _DROPOUT,
        ),
        defaults={
            "epochs": 40,
            "batch_size": 32,
            "lr": 3e-3,
            "weight_decay": 1e-2,
            "schedule": "cosine",
        },
    ),
)
