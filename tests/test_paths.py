"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BadInput
from core.paths import located


def test_home_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert located("~/a") == tmp_path / "a"
    assert located("b") == tmp_path / "b"
    assert located(tmp_path / "c") == tmp_path / "c"


@pytest.mark.parametrize("path", ["~nosuchuser/x", "x" * 300, "/".join(["y" * 200] * 30)])
def test_a_path_that_cannot_be_is_a_sentence(path: str) -> None:
    with pytest.raises(BadInput, match=r"cannot be looked at: .*\. Give the path") as caught:
        located(path)
    assert len(str(caught.value)) < 300
