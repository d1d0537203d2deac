"""Recipes that learn from images, as declarations: nothing here imports torch."""

from __future__ import annotations

from core.parameters import Parameter, Value
from core.tasks import Task
from core.training.recipe import Recipe

_DROPOUT = Parameter(
    "dropout", "float", 0.5, "Share of units left out before the last layer.", 0, 0.95
)
_AUGMENT = Parameter("augment", "bool", True, "Vary each picture a little, at random.")
_EXAMPLES = Parameter(
    "examples", "int", 0, "Training examples to learn from, drawn at random; 0 takes all.", 0, 10**9
)
_FEW = Parameter("examples", "int", 1_000, _EXAMPLES.help, 0, 10**9)
_PICTURES = Parameter(
    "pictures", "choice", "digits", "What is to be seen on them.", choices=("digits", "clothing")
)
_ONE_CYCLE: dict[str, Value] = {"schedule": "one_cycle", "gradient_clip": 1.0}

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
        reaches="98.6 % of held-out digits; 96 % after 3 epochs",
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.image_training:digits_cnn",
        factory="sample_models.digits_cnn:build",
        parameters=(_DROPOUT, _AUGMENT, _EXAMPLES),
        defaults={"epochs": 40, "lr": 2e-3, "weight_decay": 1e-2, **_ONE_CYCLE},
    ),
    Recipe(
        name="digits_regularised",
        title="Handwritten digits, regularised",
        summary=(
            "The same network on a thousand digits only, so that it can learn them by heart: with "
            "more or less dropout and weight decay."
        ),
        teaches=(
            "What regularisation does: the gap between training and validation shrinks as dropout "
            "grows, and a little as L2 does."
        ),
        reaches=(
            "a gap between training and validation loss of 0.14 with half of the units left out, "
            "and of 0.25 with a weight decay of 0.001, instead of 0.27"
        ),
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.image_training:digits_cnn",
        factory="sample_models.digits_cnn:build",
        parameters=(
            Parameter("dropout", "float", 0.0, _DROPOUT.help, 0, 0.95),
            Parameter("augment", "bool", False, _AUGMENT.help),
            _FEW,
        ),
        defaults={"epochs": 25, "batch_size": 50, "optimiser": "adam", "lr": 1e-3, "keep_every": 0},
        sweep={"dropout": (0.0, 0.25, 0.5), "weight_decay": (0.0, 1e-4, 1e-3)},
    ),
    Recipe(
        name="fashion_cnn",
        title="Clothing (CNN)",
        summary=(
            "Tells ten kinds of clothing apart in 28 × 28 pixel greyscale pictures on a dark "
            "background. It is good for seeing which outlines matter and where shirts, pullovers "
            "and coats get confused; it cannot handle people wearing clothes or several items at "
            "once."
        ),
        teaches="Which classes stay confused when all others are long learned.",
        reaches="92 % of the 10,000 test pictures",
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.image_training:fashion_cnn",
        factory="sample_models.fashion_cnn:build",
        parameters=(_AUGMENT, _EXAMPLES),
        defaults={
            "epochs": 18,
            "batch_size": 256,
            "lr": 3e-3,
            "weight_decay": 1e-2,
            **_ONE_CYCLE,
        },
    ),
    Recipe(
        name="fashion_vit",
        title="Clothing (vision transformer)",
        summary=(
            "Tells ten kinds of clothing apart, like the CNN, but by letting 49 image patches "
            "attend to each other. It is good for looking at attention and less accurate than the "
            "CNN; it cannot handle people wearing clothes or several items at once."
        ),
        teaches="How a transformer without knowledge of pictures learns more slowly than a CNN.",
        reaches="88 % of the 10,000 test pictures",
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.image_training:fashion_vit",
        factory="sample_models.fashion_vit:build",
        parameters=(_AUGMENT, _EXAMPLES),
        defaults={
            "epochs": 14,
            "batch_size": 256,
            "lr": 2e-3,
            "weight_decay": 5e-2,
            **_ONE_CYCLE,
        },
    ),
    Recipe(
        name="hierarchical",
        title="Hierarchical network, stage by stage",
        summary=(
            "Layers in three stages, conv 32, conv 64 and a classifier, learned from a folder of "
            "class folders. Stage by stage, each stage is trained with a head of its own while "
            "those before it stand still; or all of it at once, to compare."
        ),
        teaches="What training stage by stage gains and loses against training end to end.",
        reaches="88 % on Fashion-MNIST written out as a folder",
        task=Task.IMAGE_CLASSIFICATION,
        data_kind="images",
        make="sample_models.image_training:hierarchical",
        factory="sample_models.hierarchical:build",
        parameters=(
            Parameter("stagewise", "bool", True, "Train one stage after the other."),
            Parameter("size", "int", 224, "Side of the pictures.", 16, 1024, unit="pixels"),
            _AUGMENT,
            _EXAMPLES,
        ),
        defaults={
            "epochs": 12,
            "batch_size": 64,
            "lr": 2e-3,
            "schedule": "cosine",
            "weight_decay": 1e-3,
            "keep_every": 0,
        },
        sweep={"stagewise": (True, False)},
    ),
    Recipe(
        name="masked_pretraining",
        title="Masked pictures (self-supervised)",
        summary=(
            "Sees pictures of digits of which most patches are missing, and predicts the missing "
            "pixels. It needs no labels; what it learned helps where labels are few."
        ),
        teaches="What a network learns about pictures without being told what is on them.",
        reaches=(
            "1.5 points more accurate with 1 % of the labels than from scratch, over 5 seeds; "
            "clothing told from digits with an AUROC of 0.95"
        ),
        task=Task.RECONSTRUCTION,
        data_kind="images",
        make="sample_models.image_training:restorer",
        factory="sample_models.autoencoder:build",
        parameters=(
            Parameter("masked", "float", 0.6, "Share of the patches that are missing.", 0.05, 0.95),
            _PICTURES,
            _EXAMPLES,
        ),
        defaults={"epochs": 30, "lr": 2e-3, "keep_every": 5, **_ONE_CYCLE},
    ),
    Recipe(
        name="denoising_pretraining",
        title="Noisy pictures (self-supervised)",
        summary=(
            "Sees pictures of digits under heavy noise and predicts them without it. It needs no "
            "labels; pictures that it restores badly are unlike those that it knows."
        ),
        teaches="How the error of a reconstruction tells the familiar from the unfamiliar.",
        reaches=(
            "1.5 points more accurate with 1 % of the labels than from scratch, over 5 seeds; "
            "clothing told from digits with an AUROC of 0.99"
        ),
        task=Task.RECONSTRUCTION,
        data_kind="images",
        make="sample_models.image_training:restorer",
        factory="sample_models.autoencoder:build",
        parameters=(
            Parameter("noise", "float", 0.5, "Standard deviation of the noise.", 0.01, 2.0),
            _PICTURES,
            _EXAMPLES,
        ),
        defaults={"epochs": 30, "lr": 2e-3, "keep_every": 5, **_ONE_CYCLE},
    ),
)
