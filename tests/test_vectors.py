"""Files with vectors: what is read, and what is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from core.data.vectors import read_vectors
from core.errors import BadInput

VALUES = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)


def test_every_kind_gives_the_same_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "a.npz", features=VALUES, small=VALUES[:, :2], label=np.arange(20))
    save_file({"features": VALUES, "score": VALUES[:, 0].copy()}, tmp_path / "a.safetensors")
    frame = pd.DataFrame({"id": [f"x{i}" for i in range(20)], "vector": VALUES.tolist()})
    frame.to_parquet(tmp_path / "a.parquet")
    wide = pd.DataFrame(VALUES, columns=[f"u{i}" for i in range(6)]).assign(label=list("ab") * 10)
    wide.to_csv(tmp_path / "a.csv", index=False)
    wide.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    for name in ("a.npy", "a.npz", "a.safetensors", "a.parquet", "a.csv", "a.tsv"):
        found = read_vectors(tmp_path / name)
        np.testing.assert_allclose(found.values, VALUES, rtol=1e-6)
        assert len(found.ids) == 20
    assert read_vectors(tmp_path / "a.parquet").ids[3] == "x3"
    assert read_vectors(tmp_path / "a.npz").columns["label"].tolist() == list(range(20))
    assert read_vectors(tmp_path / "a.csv").columns["label"].tolist() == list("ab") * 10


def test_what_holds_no_vectors_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", VALUES[0])
    np.savez(tmp_path / "texts.npz", names=np.array(["a", "b"]))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "words.csv").write_text("a,b\nx,y\nz,w\n")
    pd.DataFrame({"v": [[1.0, 2.0], [1.0]]}).to_parquet(tmp_path / "ragged.parquet")
    pd.DataFrame({"v": [[1.0, 2.0], None]}).to_parquet(tmp_path / "gone.parquet")
    (tmp_path / "notes.txt").write_text("hello")
    for name, said in (
        ("object.npy", "cannot be read"),
        ("flat.npy", "expected \\[example, unit\\]"),
        ("texts.npz", "no matrix of numbers"),
        ("broken.npz", "cannot be read"),
        ("words.csv", "no column of numbers"),
        ("ragged.parquet", "differ in length: 1, 2"),
        ("gone.parquet", "differ in length"),
        ("notes.txt", "Expected one of"),
        ("absent.npy", "There is no file"),
    ):
        with pytest.raises(BadInput, match=said):
            read_vectors(tmp_path / name)
