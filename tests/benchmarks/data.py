"""Opening tables that stay on disk, against the least time possible: what pyarrow takes to read
the same file once: ``python -m tests.benchmarks.data``.

Beside it the time to read one example, and memory held by Arrow while the file is opened. ``--rows
50000`` is quicker.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from pyarrow import csv

from core.data import ownexamples
from core.data.ownexamples import rows

WAYS = ("csv", "jsonl", "txt", "parquet")


def written(folder: Path, count: int) -> dict[str, Path]:
    """The same texts of about 400 letters in each format, with a label and a number."""
    letters = np.random.default_rng(0).integers(97, 123, (1_000, 400), dtype=np.uint8)
    letters[:, ::6] = ord(" ")
    texts = [bytes(each).decode().strip() for each in letters]
    paths = {way: folder / f"table.{way}" for way in WAYS}
    with paths["csv"].open("w") as table, paths["jsonl"].open("w") as objects:
        table.write("text,label,size\n")
        for row in range(count):
            text, label = texts[row % 1_000], "ab"[row % 2]
            table.write(f'"{text}",{label},{row}\n')
            objects.write(json.dumps({"text": text, "label": label, "size": row}) + "\n")
    with paths["txt"].open("w") as lines:
        lines.writelines(f"{texts[row % 1_000]}\n" for row in range(count))
    pq.write_table(csv.read_csv(paths["csv"]), paths["parquet"], row_group_size=50_000)
    return paths


def floor(path: Path) -> object:
    """All rows, read once by pyarrow and let go."""
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path, pre_buffer=False)
        return sum(each.num_rows for each in file.iter_batches(8_192))
    if path.suffix == ".jsonl":
        return pyarrow.json.read_json(path).num_rows
    options = csv.ReadOptions(use_threads=False)
    if path.suffix == ".txt":
        options = csv.ReadOptions(use_threads=False, column_names=["text"])
    parsing = csv.ParseOptions(newlines_in_values=path.suffix == ".csv")
    with csv.open_csv(path, options, parsing) as reader:
        return sum(each.num_rows for each in reader)


def seconds(work: Callable[[], object]) -> float:
    """Time of one call, of this process alone."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    print(f"{'':<8} {'MB':>5} {'rows/s':>10} {'× pyarrow':>10} {'spread':>12} {'µs/example':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for way, path in written(Path(folder), options.rows).items():
            ours, least = [], []
            for _ in range(options.repeats):
                ownexamples._OPENED.clear()
                ours.append(seconds(lambda path=path: rows(path, "tokens")))
                least.append(seconds(lambda path=path: floor(path)))
            found = rows(path, "tokens")
            some = np.random.default_rng(1).integers(len(found), size=2_000)
            each = seconds(lambda found=found, some=some: found.examples(some)) / len(some)
            ratios = [our / their for our, their in zip(ours, least, strict=True)]
            spread = f"{min(ratios):.1f}–{max(ratios):.1f}"
            print(
                f"{way:<8} {path.stat().st_size / 2**20:>5.0f} "
                f"{options.rows / median(ours):>10,.0f} {median(ratios):>10.1f} {spread:>12} "
                f"{each * 1e6:>11.1f}"
            )
    held = pa.default_memory_pool().max_memory() / 2**20
    print(f"Arrow held at most {held:,.0f} MB at a time, the floor's JSON reader included.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
