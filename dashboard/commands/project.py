"""``fluoroscope project``: a map of a capture or of a file with vectors, from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter
from dashboard.commands import inputs, options

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from core.projection.space import Vectors
    from core.results import Projection
    from core.results.activations import Capture

_TABLES = ("csv", "parquet")


def project(
    source: Annotated[
        Path,
        typer.Argument(
            help="The folder of a capture, or a file with vectors: npy, npz, safetensors, parquet, "
            "csv."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    method: Annotated[str, typer.Option(help="pca, umap or tsne.")] = "umap",
    layer: Annotated[
        str,
        typer.Option(help="The layer of a capture; the last one before the answer if left out."),
    ] = "",
    dim: Annotated[int, typer.Option(help="2 or 3 dimensions.")] = 2,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting as name=value; may be repeated.")
    ] = None,
    stability: Annotated[
        bool, typer.Option(help="Compare with a map by another seed: twice the time.")
    ] = False,
    formats: Annotated[
        str, typer.Option("--format", help="Any of png,svg,pdf,html,json,npz,csv,parquet.")
    ] = "png,json,csv,parquet",
    dark: options.Dark = False,
    as_json: options.Json = False,
    seed: options.Seed = 0,
) -> None:
    """Make a map of vectors, and say how far it can be trusted."""
    from core.paths import located
    from core.projection.compute import projected

    wanted = [each.strip() for each in formats.split(",") if each.strip()]
    pictures = options.formats(",".join(each for each in wanted if each not in _TABLES) or "json")
    pictures = [each for each in pictures if each in wanted]
    given = _settings(settings or ())
    vectors, capture, columns = _read(located(source), layer)
    made = projected(vectors, method, dim, given, seed, stability=stability)
    folder = inputs.folder(out)
    stem = f"{Path(vectors.source.split(' ')[0]).stem}.{made.method}"
    written = []
    if pictures:
        from dashboard.export import write

        figure = _figure(made, capture, dark)
        for kind in pictures:
            write(folder / f"{stem}.{kind}", figure, [made], kind)
            written.append(folder / f"{stem}.{kind}")
    table = _table(made, capture, columns)
    if "csv" in wanted:
        table.to_csv(folder / f"{stem}.csv", index=False)
        written.append(folder / f"{stem}.csv")
    if "parquet" in wanted:
        table.to_parquet(folder / f"{stem}.parquet", index=False)
        written.append(folder / f"{stem}.parquet")
    _tell(made, written, as_json)


def _settings(given: Sequence[str]) -> dict[str, Any]:
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name.strip():
            raise BadParameter(f"'{each}' is no setting.", "Expected name=value, as min_dist=0.3.")
        found[name.strip()] = value.strip()
    return found


def _read(
    source: Path, layer: str
) -> tuple[Vectors, Capture | None, dict[str, npt.NDArray[np.generic]]]:
    """The vectors, the capture they are from, if any, and what else is known of each."""
    from core.data.vectors import read_vectors
    from core.projection.compute import captured
    from core.projection.space import Vectors
    from core.results.activations import open_capture

    if source.is_dir():
        capture = open_capture(source)
        chosen = layer or capture.last
        return captured(str(source), chosen), capture, {}
    if layer:
        raise BadParameter("--layer is given, but the source is no capture.", "Leave it out.")
    table = read_vectors(source)
    vectors = Vectors(table.values, table.ids, table.name, table.fingerprint)
    return vectors, None, dict(table.columns)


def _figure(made: Projection, capture: Capture | None, dark: bool) -> Any:
    from dashboard.figures.projection import projection_map

    if capture is None or not capture.classes:
        return projection_map([made], dark=dark)
    values = capture.labels if capture.labels is not None else capture.predictions
    colour = "True class" if capture.labels is not None else "Prediction"
    return projection_map([made], values, capture.classes, colour=colour, dark=dark)


def _table(
    made: Projection, capture: Capture | None, columns: dict[str, npt.NDArray[np.generic]]
) -> pd.DataFrame:
    """Coordinates with what is known of each example."""
    import numpy as np
    import pandas as pd

    frame: dict[str, Any] = {"id": list(made.ids)}
    frame |= {
        axis: made.points[:, place] for place, axis in enumerate("xyz"[: made.points.shape[1]])
    }
    if capture is not None and capture.classes:
        names = np.array([*capture.classes, ""])
        if capture.labels is not None:
            frame["label"] = names[np.asarray(capture.labels)]
        frame["prediction"] = names[capture.predictions]
        frame["confidence"] = capture.confidence
    if made.trust is not None:
        frame["false_neighbours"] = made.trust.false_neighbours
    frame |= {name: values for name, values in columns.items() if name not in frame}
    return pd.DataFrame(frame)


def _tell(made: Projection, written: Sequence[Path], as_json: bool) -> None:
    trust = made.trust
    facts: dict[str, Any] = {
        "source": made.source,
        "method": made.method,
        "engine": made.engine,
        "parameters": dict(made.parameters),
        "seed": made.seed,
        "examples": len(made.ids),
        "trustworthiness": None if trust is None else trust.trustworthiness,
        "continuity": None if trust is None else trust.continuity,
        "neighbours_kept": None if trust is None else trust.kept,
        "false_neighbours": None if trust is None else int(trust.marked.sum()),
        "stability": made.stability,
        "notes": list(made.notes),
        "files": [str(each) for each in written],
    }
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    print(f"{made.method} of {made.source}: {len(made.ids):,} points, by {made.engine}")
    if trust is not None:
        print(
            f"trustworthiness {trust.trustworthiness:.3f}  continuity {trust.continuity:.3f}  "
            f"neighbours kept {trust.kept:.0%}  false neighbours {int(trust.marked.sum()):,}"
        )
        print(trust.sentence)
    if made.stability is not None:
        print(f"stability {made.stability:.0%}")
    for note in made.notes:
        print(note)
    for path in written:
        print(path)
