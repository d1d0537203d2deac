"""What the confined process does with a folder of transformers, done in this one: starting it takes
seconds, and that it is started is tested in ``test_confinement``.
"""

from __future__ import annotations

import pytest

from core.models.formats import admitted, door, taking


def admit_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are looked over and opened in this process, without limits, for one test."""
    monkeypatch.setattr(taking, "confine", lambda *limits: None)
    monkeypatch.setattr(taking, "forbid", lambda *deeds: None)
    for each in (admitted, door):
        monkeypatch.setattr(
            each,
            "opened",
            lambda source, target, worker, meter=None: taking.main(source, target, 60, 8),
        )
