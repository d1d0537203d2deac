"""The ways to make a map, declared. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UnknownName
from core.parameters import Parameter

ATTRIBUTIONS = "attributions"  # what is mapped in place of a layer
METRIC = Parameter(
    "metric",
    "choice",
    "euclidean",
    "What near means; cosine looks at the direction of a vector only.",
    label="Distance",
    choices=("euclidean", "cosine"),
)


@dataclass(frozen=True)
class Reducer:
    """One way to make a map.

    ``run`` names a function ``f(space, dim, settings, seed, meter) -> core.projection.space.Laid``.
    ``fewest(settings)`` is given by ``least``: the parameter that must be below the number of
    examples. ``layout`` names the parameters that leave the neighbour graph as it is, so that a
    change of them is cheap. ``stochastic``: the map depends on the seed.
    """

    name: str
    title: str
    summary: str
    reference: str
    run: str
    parameters: tuple[Parameter, ...] = ()
    least: str = ""
    layout: tuple[str, ...] = ()
    stochastic: bool = False


REDUCERS: tuple[Reducer, ...] = (
    Reducer(
        name="pca",
        title="PCA",
        summary="The directions along which examples differ most; distances far apart are true.",
        reference="Pearson 1901, doi 10.1080/14786440109462720",
        run="core.projection.linear:pca",
    ),
    Reducer(
        name="umap",
        title="UMAP",
        summary="Keeps neighbours together; sizes of groups and gaps between them mean little.",
        reference="McInnes et al. 2018, arXiv 1802.03426",
        run="core.projection.manifold:umap",
        least="n_neighbors",
        layout=("min_dist", "spread", "n_epochs", "negative_sample_rate"),
        stochastic=True,
        parameters=(
            Parameter(
                "n_neighbors",
                "int",
                15,
                "How many neighbours count: few shows detail, many the whole.",
                minimum=2,
                maximum=200,
                label="Neighbours",
            ),
            Parameter(
                "min_dist",
                "float",
                0.1,
                "How close points may lie: small packs groups tightly.",
                minimum=0,
                maximum=0.99,
                label="Least distance",
            ),
            METRIC,
            Parameter(
                "spread",
                "float",
                1.0,
                "The scale of the map; at least the least distance.",
                minimum=0.1,
                maximum=10,
                advanced=True,
            ),
            Parameter(
                "n_epochs",
                "int",
                0,
                "Passes over all edges; 0 for 500, above 10,000 examples 200.",
                minimum=0,
                maximum=5000,
                label="Epochs",
                advanced=True,
            ),
            Parameter(
                "negative_sample_rate",
                "int",
                5,
                "Points that push a point away for each that pulls it.",
                minimum=1,
                maximum=50,
                label="Negative samples",
                advanced=True,
            ),
            Parameter(
                "engine",
                "choice",
                "auto",
                "Who computes: fluoroscope starts at once, umap-learn is the reference.",
                choices=("auto", "fluoroscope", "umap-learn"),
                advanced=True,
            ),
        ),
    ),
    Reducer(
        name="tsne",
        title="t-SNE",
        summary="Keeps the nearest neighbours together; distances between groups mean nothing.",
        reference="van der Maaten & Hinton 2008; openTSNE, Poličar et al. 2024",
        run="core.projection.tsne:tsne",
        least="perplexity",
        layout=("n_iter", "exaggeration"),
        stochastic=True,
        parameters=(
            Parameter(
                "perplexity",
                "float",
                30.0,
                "About how many neighbours count.",
                minimum=2,
                maximum=200,
            ),
            METRIC,
            Parameter(
                "n_iter",
                "int",
                500,
                "Steps after the early exaggeration.",
                minimum=50,
                maximum=5000,
                label="Steps",
                advanced=True,
            ),
            Parameter(
                "exaggeration",
                "float",
                1.0,
                "Above 1 packs groups more tightly.",
                minimum=1,
                maximum=12,
                advanced=True,
            ),
        ),
    ),
)


def reducer(name: str) -> Reducer:
    """The reducer called ``name``. Raises ``UnknownName`` with the nearest names."""
    for each in REDUCERS:
        if each.name == name:
            return each
    raise UnknownName.of("reducer", name, (each.name for each in REDUCERS))
