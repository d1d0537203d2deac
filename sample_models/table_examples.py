"""Write the held-out rows of the sample tables, and some of them as example inputs.

    python -m sample_models.table_examples [--out DIR]

``sample_models/tables/`` gets a CSV file per table; ``assets/examples/`` a JSON file per shown row,
with its entries in ``index.json`` and ``LICENSES.md``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sample_models import table_data

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class HeldOut:
    """A table's held-out part, and which of its rows are example inputs."""

    model: str
    stem: str
    rows: Callable[[], table_data.Rows]
    shown: tuple[int, ...]
    about: table_data.Source


HELD_OUT = (
    HeldOut(
        "tabular_mlp",
        "tumours",
        lambda: table_data.breast_cancer_rows("test"),
        (1, 0, 2, 3),
        table_data.BREAST_CANCER,
    ),
    HeldOut(
        "two_features",
        "points",
        lambda: table_data.moon_rows("val"),
        (0, 1, 2, 3),
        table_data.MOONS,
    ),
)


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(description="Write the held-out rows of the sample tables.")
    parser.add_argument("--out", type=Path, default=Path("assets/examples"))
    out: Path = parser.parse_args().out
    TABLES.mkdir(exist_ok=True)
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    index = [entry for entry in index if not entry["file"].endswith(".json")]
    licences = (out / "LICENSES.md").read_text(encoding="utf-8").splitlines()
    licences = [line for line in licences if ".json |" not in line]
    for table in HELD_OUT:
        values, labels, names, classes = table.rows()
        cells = [[str(cell) for cell in row] for row in values]  # the shortest that means it
        with (TABLES / f"{table.stem}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*names, "class"])
            writer.writerows(
                [*row, classes[label]] for row, label in zip(cells, labels, strict=True)
            )
        each = table.stem.removesuffix("s")
        for place in table.shown:
            name, label = f"{each}-{place + 1}.json", classes[labels[place]]
            row = {name: float(cell) for name, cell in zip(names, cells[place], strict=True)}
            (out / name).write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
            title = f"{each.capitalize()} {place + 1}, {label}"
            index.append({"file": name, "title": title, "models": [table.model], "label": label})
            about = table.about
            licences.append(f"| {name} | {about.source} | {about.name} | {about.licence} |")
    text = json.dumps(index, ensure_ascii=False, indent=2)
    (out / "index.json").write_text(text + "\n", encoding="utf-8")
    (out / "LICENSES.md").write_text("\n".join(licences) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
