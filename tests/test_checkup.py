"""The check-up finds a planted fault by name, and has nothing to say against a sound network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from toy_models import CLASSES, SHAPE, PlainCNN, load

from core.checkup.check import check_up
from core.checkup.confined import confined
from core.checkup.trials import tried
from core.codec import decode, encode
from core.confinement.kernel import able
from core.engine.beside import BesideExecutor
from core.engine.call import Call
from core.errors import Cancelled
from core.models.catalogue import reference
from core.models.exported.own import add
from core.models.exported.packing import pack
from core.models.loader import load as load_model
from core.models.reference import ModelRef
from core.progress import Meter
from core.results import CheckUp
from dashboard.commands.check import check

WIDTH = 432


class Faulty(nn.Module):
    """A small network with ``fault`` done to its scores or to its input."""

    def __init__(
        self,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda x: x,
        outputs: int = len(CLASSES),
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.dense = nn.Linear(4 * 10 * 10, outputs)
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.dense(self.conv(self.before(x)).relu().flatten(1)))


class Unused(Faulty):
    """It has a layer that nothing comes to."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(40, 4)


class Counting(Faulty):
    """It remembers how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(x)


def broken() -> nn.Module:
    module = Faulty()
    with torch.no_grad():
        module.conv.weight[0, 0, 0, 0] = float("nan")
    return module


def unseeing() -> nn.Module:
    module = Faulty()
    nn.init.zeros_(module.conv.weight)
    return module


def decided(scores: Tensor) -> Tensor:
    return F.one_hot(scores.argmax(dim=1), scores.shape[1]).float()


def learning(x: Tensor) -> Tensor:
    return F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)


def in_place(x: Tensor) -> Tensor:
    made = x.exp()
    made.mul_(2)
    return made


def halted(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 2


def quantised() -> nn.Module:
    dense = torch.ao.nn.quantized.dynamic.Linear(432, len(CLASSES))
    torch.manual_seed(0)
    weight = torch.quantize_per_tensor(torch.randn(len(CLASSES), 432), 0.05, 0, torch.qint8)
    dense.set_weight_bias(weight, torch.zeros(len(CLASSES)))
    return nn.Sequential(nn.Flatten(), dense)


def examined(module: nn.Module) -> CheckUp:
    return check_up(load(module, SHAPE), (), {}, 0, Meter())


FAULTS: tuple[tuple[str, str, str, Callable[[], nn.Module]], ...] = (
    ("steady", "bad", "dropout", lambda: Faulty(before=lambda x: F.dropout(x, 0.5, True))),
    ("steady", "bad", "rand", lambda: Faulty(before=lambda x: x + torch.rand_like(x))),
    ("batch", "bad", "beside it", lambda: Faulty(before=lambda x: x - x.mean(dim=0))),
    ("norms", "bad", "mean of the batch", lambda: Faulty(before=learning)),
    ("batch", "warning", "range of the whole batch", quantised),
    ("batch", "bad", "2 examples", lambda: Faulty(after=lambda x: x.view(1, 5))),
    ("weights", "bad", "conv.weight", broken),
    ("finite", "bad", "NaN", lambda: Faulty(after=lambda x: x.log() * float("nan"))),
    ("logits", "bad", "decision", lambda: Faulty(after=decided)),
    ("gradient", "warning", "argmax", lambda: Faulty(after=decided)),
    ("gradient", "warning", "no_grad", lambda: Faulty(before=halted)),
    ("gradient", "warning", "detach", lambda: Faulty(before=lambda x: x.detach())),
    ("gradient", "warning", "round", lambda: Faulty(before=lambda x: (4 * x).round())),
    ("gradient", "warning", "backward", lambda: Faulty(before=in_place)),
    ("gradient", "bad", "NaN", lambda: Faulty(before=lambda x: x + (x - x).abs().sqrt())),
    ("logits", "warning", "sum to 1", lambda: Faulty(after=lambda x: x.softmax(1))),
    ("logits", "warning", "sigmoid", lambda: Faulty(after=lambda x: x.sigmoid())),
    ("reacts", "bad", "same answer", unseeing),
    ("used", "note", "spare.weight", Unused),
    ("memory", "warning", "asked", Counting),
    ("outputs", "bad", "7 numbers", lambda: Faulty(outputs=7)),
    ("forward", "bad", "mat1", lambda: Faulty(before=lambda x: x[:, :, 1:])),
    (
        "precision",
        "note",
        "float64",
        lambda: Faulty(before=Tensor.double, after=Tensor.float).double(),
    ),
)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # torch's own layer
@pytest.mark.parametrize(
    ("name", "level", "words", "make"), FAULTS, ids=[f"{x[0]}-{x[2]}" for x in FAULTS]
)
def test_a_planted_fault_is_found(
    name: str, level: str, words: str, make: Callable[[], nn.Module]
) -> None:
    found = examined(make())
    finding = next(each for each in found.findings if each.name == name)
    assert finding.level == level
    assert words in finding.found
    assert finding.advice


def test_a_sound_network_has_only_good_findings() -> None:
    torch.manual_seed(0)
    module = PlainCNN()
    found = examined(module)
    assert [
        each for each in found.findings if each.level not in ("good",) and each.name != "pixels"
    ] == []
    assert found.parameters == sum(each.numel() for each in module.parameters())
    assert found.device_bytes == 4 * found.parameters
    assert found.input_shape == SHAPE
    assert found.outputs == len(CLASSES)
    assert found.operators["convolution"] == 2
    assert set(found.layers) == {name for name, _ in module.named_children()}
    assert found.fits["saliency"].level == "exact"
    assert decode(encode(found)) == found


def test_what_a_forward_writes_is_taken_back() -> None:
    module = Counting()
    assert tried(load(module, SHAPE), 0, Meter()).changed == ("asked",)
    assert module.asked == 0


def test_cancel_stops_it() -> None:
    with pytest.raises(Cancelled):
        check_up(load(PlainCNN(), SHAPE), (), {}, 0, Meter(cancelled=lambda: True))


@pytest.mark.parametrize("name", ["digits_cnn", "fashion_vit", "text_rnn", "tabular_mlp"])
def test_sample_models_have_no_bad_finding(name: str) -> None:
    found = check_up(load_model(reference(name)), (), {}, 0, Meter())
    assert found.at("bad") == found.at("warning") == ()
    assert bool(found.attention) == (name == "fashion_vit")


def test_the_command_tells_and_ends_with_2_on_a_bad_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [examined(PlainCNN()), examined(broken())]
    monkeypatch.setattr("dashboard.commands.check.with_bar", lambda *_: made[0])
    check("two_features", as_json=False, seed=0, device="cpu", workspace=None)
    said = capsys.readouterr().out
    assert "good     Gradient to the input  It is there" in said
    made.pop(0)
    with pytest.raises(typer.Exit) as ended:
        check("two_features", as_json=True, seed=0, device="cpu", workspace=None)
    assert ended.value.exit_code == 2
    document = json.loads(capsys.readouterr().out)
    assert document["level"] == "bad"
    assert document["findings"][0]["level"] == "bad"


def test_what_takes_too_long_ends_as_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUOROSCOPE_OPEN_SECONDS", "1")  # not even torch starts in that
    found = confined(ModelRef("own:endless", "0" * 64), 0, Meter())
    assert found.level == "bad"
    assert "needs more than 1 seconds" in found.findings[0].found
    assert "FLUOROSCOPE_OPEN_SECONDS" in found.findings[0].advice


def test_a_confined_check_up_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        confined(ModelRef("own:none", "0" * 64), 0, Meter(cancelled=lambda: True))


@pytest.mark.slow
def test_a_model_that_was_brought_is_looked_over_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Softmax(1)).eval()
    path = pack(fixed, (torch.rand(2, 1, 6, 6),), tmp_path / "fixed.pt2")
    ref = reference(add(path).name)
    beside = BesideExecutor()
    call = Call("check_up", ref)
    assert beside.takes(call)  # and so no worker need start a process for it
    assert not beside.takes(Call("check_up", reference("digits_cnn")))
    found = beside.submit(call).result()
    assert found.at("bad") == ()
    assert [each.name for each in found.at("warning")] == ["logits"]
    assert beside.submit(call).result() is found
    assert ("seal" in [each.name for each in found.findings]) is not able()
    monkeypatch.setattr("core.checkup.confined.able", lambda: False)
    told = confined(ref, 0, Meter()).at("note")[-1]
    assert "cannot seal" in told.found
    gone = confined(ModelRef("own:gone", "0" * 64), 0, Meter())
    assert "gone" in gone.at("bad")[0].found
