"""Layers and weights that are called as attributes of torch's or ours come in as they are."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from test_exported_clean import saved
from torch import Tensor, nn
from torch.export.unflatten import UnflattenedModule

from core.models.exported import names
from core.models.exported.clean import clean
from core.models.exported.made import module
from core.models.exported.module import ExportedModule
from core.models.exported.trial import tried


class Inner(nn.Module):
    """A layer, a weight and a buffer of each name."""

    def __init__(self, every: list[str]) -> None:
        super().__init__()
        self.every = every
        for place, name in enumerate(every):
            match place % 3:
                case 0:
                    self.add_module(name, nn.Linear(4, 4))
                case 1:
                    self.register_parameter(name, nn.Parameter(torch.rand(4)))
                case 2:
                    self.register_buffer(name, torch.rand(4))

    def forward(self, rows: Tensor) -> Tensor:
        """Each of them after the other, layers twice."""
        for name in self.every:
            part = getattr(self, name)
            rows = torch.tanh(part(part(rows)) if isinstance(part, nn.Module) else rows * part)
        return rows


class Outer(Inner):
    """The same, and once more one level down."""

    def __init__(self, every: list[str]) -> None:
        super().__init__(every)
        self.inside = Inner(every)
        self.last = nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.last(self.inside(super().forward(rows)))


TORCHS = ["output", "meta", "batch", "code", "held", "adapted", "module_call_graph", "arg_names",
          "weight", "range_constraints", "filled", "widths", "equality_constraints", "signature",
          "graph_module"]  # fmt: skip
OURS = ["graph", "usage", "outputs", "produce", "end", "rows"]


@pytest.mark.parametrize("rotated", range(3))
def test_names_that_are_taken(rotated: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    every = [*TORCHS[rotated:], *TORCHS[:rotated], *OURS[rotated:], *OURS[:rotated]]
    live = Outer(every).eval()
    rows = torch.rand(2, 4)
    path = saved(live, (rows,), tmp_path / "net.pt2")
    found = tried(clean(path, tmp_path / "out.pt2"), tmp_path / "out.pt2")
    keys = ("filled", "widths", "batch", "output", "freed", "held")
    taken = module(str(tmp_path / "out.pt2"), **{key: found[key] for key in keys})
    assert isinstance(taken, ExportedModule)
    for each in (taken, copy.deepcopy(taken)):
        torch.testing.assert_close(each(rows), live(rows), rtol=0, atol=0)
    ours = {f"{start}{name}": f"{start}{name}_" for name in OURS for start in ("", "inside.")}
    kinds = {name: type(part).__name__ for name, part in taken.named_modules()}
    for name, part in live.named_modules():
        assert kinds.pop(ours.get(name, name)) == type(part).__name__
    assert not kinds  # a layer that is called twice is one
    state = {ours.get(name, name): each for name, each in live.state_dict().items()}
    for name, tensor in taken.state_dict().items():
        start, _, last = name.rpartition(".")
        known = state.get(name)
        if known is None:
            known = state[f"{start.removesuffix('_')}.{last}"]
        assert torch.equal(tensor, known)


def test_what_torch_has_of_its_own_is_known(tmp_path: Path) -> None:
    """A new release of torch may have more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        program = torch.export.export(nn.Sequential(Inner(["one"])).eval(), (torch.rand(2, 4),))
        whole = UnflattenedModule(program)
    for each in (whole, *whole.modules()):
        if type(each).__module__ != "torch.export.unflatten":
            continue
        own = {name for name in {*dir(each), *vars(each)} if not name.startswith("_")}
        assert own - {*dir(nn.Module())} - {*each._modules, *each._parameters} <= names._OF_TORCH
