"""Parameters that several attribution methods share."""

from __future__ import annotations

from core.parameters import Parameter

_KINDS = ("zero", "black", "white", "mean", "blur", "uniform", "gaussian", "image")
BASELINE = Parameter(
    "baseline", "choice", "zero", "The input that stands for 'nothing there'.", choices=_KINDS
)
BLUR = Parameter("baseline", "choice", "blur", BASELINE.help, choices=_KINDS)
DRAWN = Parameter(
    "baseline", "choice", "uniform", "What the baselines are drawn from.", choices=_KINDS
)
N_BASELINES = Parameter(
    "n_baselines", "int", 10, "How many baselines are drawn.", minimum=1, maximum=200, advanced=True
)
SEGMENTS = Parameter(
    "segments",
    "choice",
    "superpixels",
    "What is switched off together: regions of similar colour, or the cells of a grid.",
    label="Shape of segments",
    choices=("superpixels", "grid"),
)
N_SEGMENTS = Parameter("n_segments", "int", 50, "About how many segments.", minimum=2, maximum=2000)
NOISE = (
    Parameter("n_samples", "int", 24, "How many noisy copies.", minimum=2, maximum=1000),
    Parameter(
        "stdevs",
        "float",
        0.15,
        "Standard deviation of the noise.",
        minimum=0,
        maximum=2,
        label="Noise",
        unit="× value range",
    ),
)
LAYER = Parameter(
    "layer", "layer", "auto", "The layer to look at; auto is the last that lies over the input."
)
UPSAMPLING = Parameter(
    "upsampling",
    "choice",
    "bilinear",
    "How the layer's values are laid over the input.",
    choices=("bilinear", "nearest"),
    advanced=True,
)


def samples(default: int) -> Parameter:
    """How often a sampling method asks the model."""
    return Parameter("n_samples", "int", default, "How many evaluations.", minimum=1, maximum=20000)
