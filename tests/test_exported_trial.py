"""What the first run tells: precision, NaN, training mode, answers, and other devices."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from test_exported_clean import Net, saved
from test_exported_module import Block, Recurrent, Two
from torch import Tensor, nn

from core.errors import BadModel
from core.models.exported.clean import clean
from core.models.exported.module import ExportedModule, program
from core.models.exported.trial import tried

PIXELS = (torch.rand(2, 1, 8, 8),)


def trial(net: nn.Module, inputs: tuple[Tensor, ...], folder: Path, **more: Any) -> dict[str, Any]:
    """What is told of a network."""
    path = saved(net, inputs, folder / "net.pt2", **more)
    return tried(clean(path, folder / "out.pt2"), folder / "out.pt2")


class Several(nn.Module):
    """Answers with more than logits, of which the first is no answer per example."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """A loss, and logits ``[example, class]``."""
        logits = self.out(rows)
        return {"loss": logits.mean(), "logits": logits}


class One(nn.Module):
    """Answers with a number for the whole batch."""

    def forward(self, rows: Tensor) -> Tensor:
        """A number."""
        return rows.mean()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_take_and_give_single(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Two().to(dtype)
    inputs = (torch.rand(2, 4, dtype=dtype), torch.rand(2, 3, dtype=dtype))
    found = trial(net, inputs, tmp_path)
    taken = ExportedModule(program(tmp_path / "out.pt2"), {}, found["widths"])
    rows = torch.cat(inputs, 1).float().requires_grad_()
    answer = taken(rows)
    assert answer.dtype == torch.float32
    assert torch.equal(answer, net(*inputs).float())
    (gradient,) = torch.autograd.grad(answer.sum(), rows)
    assert gradient.abs().sum() > 0


def test_nan_in_the_weights_is_told(tmp_path: Path) -> None:
    net = Net()
    with torch.no_grad():
        net.head.bias[1] = torch.nan
    with pytest.raises(BadModel, match=r"head\.bias hold NaN"):
        trial(net, PIXELS, tmp_path)


def test_training_mode_is_told(tmp_path: Path) -> None:
    assert not trial(Net(), PIXELS, tmp_path)["training"]
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    path = tmp_path / "training.pt2"
    torch.export.save(torch.export.export(net.train(), (torch.rand(4, 3),)), path)
    found = tried(clean(path, tmp_path / "out.pt2"), tmp_path / "out.pt2")
    assert found["training"]
    assert not found["steady"]


def test_the_answer_is_found_among_several(tmp_path: Path) -> None:
    found = trial(Several(), (torch.rand(4, 3),), tmp_path)
    assert found["answer"] == [2]
    with pytest.raises(BadModel, match="nothing that is one row of numbers per example"):
        trial(One(), (torch.rand(4, 3),), tmp_path)


@pytest.mark.parametrize("net", [Net(), Block(), Recurrent()], ids=lambda net: type(net).__name__)
def test_every_step_moves_to_another_device(net: nn.Module, tmp_path: Path) -> None:
    """On the device ``meta`` nothing is computed, but a tensor left behind on the CPU is an error
    as it is on any other.
    """
    inputs = {
        "Net": PIXELS,
        "Block": (torch.rand(2, 5, 8),),
        "Recurrent": (torch.arange(10).reshape(2, 5),),
    }[type(net).__name__]
    found = trial(copy.deepcopy(net), inputs, tmp_path)
    taken = ExportedModule(program(tmp_path / "out.pt2"), {}, freed=found["freed"])
    moved = taken.to("meta")
    answer = moved(inputs[0].to("meta"))
    assert answer.device.type == "meta"
    assert answer.shape == net(*inputs).shape


def test_what_torch_stumbles_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It writes that to its log, and raises something that says nothing."""
    from torch.export.pt2_archive import _package

    trial(Net(), PIXELS, tmp_path)
    for wrong, kind, words in (
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError, None),
        (RuntimeError("no such weight"), BadModel, "cannot be rebuilt: no such weight"),
    ):

        def fail(*_: Any, wrong: Exception = wrong, **__: Any) -> None:
            raise wrong

        monkeypatch.setattr(_package, "_load_state_dict", fail)
        with pytest.raises(kind, match=words):
            program(tmp_path / "out.pt2")
    assert "torch.export" not in {each.name for each in caplog.records}
