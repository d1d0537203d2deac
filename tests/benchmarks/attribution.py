"""What each method costs, as ratios within one run: ``python tests/benchmarks/attribution.py``.

Three columns, all from calls that take turns, best of many:

- *÷ Captum*: our seconds over Captum's, called directly with the same settings and its own default
  batch sizes, on the same decoded input and segments. Both sides predict the class first. Below
  1.00 we are faster; "raises" where Captum cannot explain the network as it stands.
- *÷ floor*: our seconds over (passes needed × best time of a pass of one example over batch sizes,
  parameters frozen). What is above 1.00 is overhead.
- *difference*: largest difference of the values from Captum's, over the largest value.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import random
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import captum
import captum.attr as ca
import numpy as np
import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.method import AttributionMethod
from core.attribution.registry import METHODS
from core.attribution.window import sliding_window
from core.device import choose, probe_threads, synchronise
from core.models.adapter import Batch
from core.models.card import ImagePreprocessing, ModelCard
from core.models.catalogue import reference
from core.models.image import ImageAdapter
from core.models.loaded import LoadedModel
from core.models.loader import load, placed
from core.models.reference import ModelRef
from core.parameters import Value, checked
from core.progress import Meter
from core.tasks import Example, Task

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
PICTURES = {
    "digits_cnn": "digit-7.png",
    "fashion_vit": "fashion-coat.png",
    "resnet18": "photo-cat.jpg",
}
SEED = 0
SHORTER: dict[str, dict[str, Value]] = {  # where the defaults would take minutes
    "shapley_value_sampling": {"n_samples": 2},
    "kernel_shap": {"n_samples": 60},
    "lime": {"n_samples": 60},
    "deeplift_shap": {"n_baselines": 4},
}
SIZES = (1, 2, 4, 8, 16, 32, 64)


class BasicBlock(nn.Module):
    """He et al. 2015, arXiv 1512.03385, one in-place ReLU used twice as in torchvision."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.down: nn.Module | None = None
        if stride > 1:
            self.down = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        past = x if self.down is None else self.down(x)
        x = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        x += past
        out: Tensor = self.relu(x)
        return out


class ResNet18(nn.Module):
    """11.7 million parameters, 1.8 billion multiply-adds at 224 × 224."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
        self.stages = nn.Sequential(
            *(nn.Sequential(BasicBlock(*each), BasicBlock(each[1], each[1], 1)) for each in widths)
        )
        self.pool, self.dense = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.dense(torch.flatten(self.pool(self.stages(x)), 1))
        return out


def resnet18(device: torch.device) -> LoadedModel:
    """Untrained: time does not depend on what the weights say."""
    torch.manual_seed(SEED)
    wanted = ImagePreprocessing(3, 224, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    classes = tuple(f"class {number}" for number in range(1000))
    card = ModelCard(
        "resnet18", "ResNet-18", Task.IMAGE_CLASSIFICATION, "", "", classes, wanted,
        Path(), None, None, None, (), {},
    )  # fmt: skip
    module = placed(ResNet18(), device).eval()
    adapter = ImageAdapter(classes, wanted)
    return LoadedModel(ModelRef("resnet18", "0" * 64), card, adapter, device, module)


class Decoded:
    """An adapter that has decoded its one example and cut it into segments already."""

    def __init__(self, adapter: Any, example: Example, model: LoadedModel) -> None:
        self._adapter = adapter
        started = time.perf_counter()
        self._batch: Batch = adapter.encode([example], model)
        self.decoding = time.perf_counter() - started
        self._segments: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def encode(self, examples: Any, model: Any) -> Batch:
        return self._batch

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        key = f"{settings['segments']} {settings['n_segments']}"
        if key not in self._segments:
            self._segments[key] = self._adapter.segments(batch, settings)
        return self._segments[key]


@dataclass
class Bench:
    """One network with one decoded example."""

    model: LoadedModel
    adapter: Decoded
    example: Example
    best: tuple[float, float] = (float("inf"), float("inf"))

    @classmethod
    def of(cls, name: str, device: torch.device) -> Bench:
        model = resnet18(device) if name == "resnet18" else load(reference(name), str(device))
        example = Example(PICTURES[name], (EXAMPLES / PICTURES[name]).read_bytes())
        adapter = Decoded(model.adapter, example, model)
        anything: Any = adapter
        model = replace(model, adapter=anything)
        describe(model)
        return cls(model, adapter, example)

    def ours(self, each: AttributionMethod, settings: Mapping[str, Value]) -> np.ndarray:
        parameters = {"method": each.name, "settings": dict(settings)}
        return attribute(self.model, [self.example], parameters, SEED, Meter())[0].values

    def batch(self) -> Batch:
        return self.adapter.encode([], None)


def captums(bench: Bench, each: AttributionMethod, settings: Mapping[str, Value]) -> Any:
    """Captum's own call as a function without arguments, as its tutorials write it, and how its
    answer is laid out as ours.
    """
    net, adapter, batch = copy.deepcopy(bench.model._module), bench.adapter, bench.batch()
    net.to(memory_format=torch.contiguous_format)  # as PyTorch builds it
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    x, name = batch.features, each.name
    architecture = describe(bench.model)
    layer = net.get_submodule(architecture.cam_layer)
    info = next(part for part in architecture.layers if part.name == architecture.cam_layer)
    spread = float(x.max() - x.min())
    kind = str(settings.get("baseline", "zero"))
    base = adapter.baseline(batch, kind, SEED, None)
    mask = adapter.segments(batch, settings) if "segments" in settings else None
    count = int(settings.get("n_samples", 1))
    draws = int(settings.get("n_baselines", 1)) if kind in ("uniform", "gaussian") else 1
    bases = torch.cat([adapter.baseline(batch, kind, SEED + draw, None) for draw in range(draws)])
    noise = {"nt_samples": count, "stdevs": float(settings.get("stdevs", 0)) * spread, "abs": False}
    window = sliding_window({"window": 1, "stride": 1, **settings}, *x.shape[2:])
    kinds = {
        "smoothgrad": "smoothgrad",
        "smoothgrad_squared": "smoothgrad_sq",
        "vargrad": "vargrad",
    }

    def leaf() -> Tensor:
        return x.clone().requires_grad_()

    def segmented(method: Any, **options: Any) -> Callable[[int], Tensor]:
        return lambda t: method.attribute(x, base, target=t, feature_mask=mask, **options)

    calls: dict[str, Callable[[int], Tensor]] = {
        "saliency": lambda t: ca.Saliency(net).attribute(leaf(), t, abs=False),
        "input_x_gradient": lambda t: ca.InputXGradient(net).attribute(leaf(), t),
        "integrated_gradients": lambda t: ca.IntegratedGradients(net).attribute(
            x, base, t, n_steps=int(settings["n_steps"])
        ),
        "gradient_shap": lambda t: ca.GradientShap(net).attribute(
            leaf(), bases, n_samples=count, target=t
        ),
        "deeplift": lambda t: ca.DeepLift(net).attribute(leaf(), base, t),
        "deeplift_shap": lambda t: ca.DeepLiftShap(net).attribute(leaf(), bases, t),
        "guided_backprop": lambda t: ca.GuidedBackprop(net).attribute(leaf(), t),
        "deconvolution": lambda t: ca.Deconvolution(net).attribute(leaf(), t),
        "grad_cam": lambda t: ca.LayerGradCam(net, layer).attribute(x, t),
        "guided_grad_cam": lambda t: ca.GuidedGradCam(net, layer).attribute(leaf(), t),
        "layer_gradient_x_activation": lambda t: ca.LayerGradientXActivation(net, layer).attribute(
            x, t
        ),
        "lrp": lambda t: relevance(net, leaf(), t),
        "occlusion": lambda t: ca.Occlusion(net).attribute(
            x,
            (x.shape[1], window.height, window.width),
            (x.shape[1], window.stride, window.stride),
            base,
            t,
        ),
        "feature_ablation": segmented(ca.FeatureAblation(net)),
        "shapley_value_sampling": segmented(ca.ShapleyValueSampling(net), n_samples=count),
        "kernel_shap": segmented(ca.KernelShap(net), n_samples=count),
        "lime": segmented(ca.Lime(net), n_samples=count),
    }
    for ours, theirs in kinds.items():
        calls[ours] = lambda t, theirs=theirs: ca.NoiseTunnel(ca.Saliency(net)).attribute(
            leaf(), theirs, target=t, **noise
        )

    def call() -> Tensor:
        torch.manual_seed(SEED)
        random.seed(SEED)
        np.random.seed(SEED)
        with torch.no_grad():
            target = int(net(x)[0].argmax())
        return calls[name](target)

    def laid_out(values: Tensor) -> np.ndarray | None:
        if name in ("grad_cam", "layer_gradient_x_activation"):
            if info.tokens:
                return None  # Captum takes the tokens for rows
            if name == "layer_gradient_x_activation":
                values = values.sum(1, keepdim=True)
            size = x.shape[2:]
            values = values * (values[0, 0].numel() / size.numel())
            values = F.interpolate(values, size=size, mode="bilinear", align_corners=False)
        if name == "occlusion":
            values = values[:, :1] / (window.height * window.width)
        if mask is not None:
            ids = mask.expand_as(values).flatten()
            values = (values / torch.bincount(ids)[ids].reshape(values.shape)).sum(1, keepdim=True)
        return values[0].detach().cpu().numpy()

    return call, laid_out


def relevance(net: nn.Module, x: Tensor, target: int) -> Tensor:
    for part in net.modules():
        if isinstance(part, (nn.Flatten, nn.Identity)):
            part.rule = EpsilonRule()
    values: Tensor = ca.LRP(net).attribute(x, target=target)
    return values


def seconds(run: Callable[[], Any], device: torch.device) -> float:
    synchronise(device)
    started = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - started


def passes(bench: Bench, budget: float) -> tuple[float, float]:
    """Best seconds so far of a pass of one example over batch sizes: forward, and forward and
    backward.
    """
    model, best = bench.model, list(bench.best)
    features = bench.batch().features
    with model.exclusive() as module:

        def forward(size: int) -> None:
            with torch.no_grad():
                module(features.expand(size, -1, -1, -1))

        def backward(size: int) -> None:
            batch = features.repeat(size, 1, 1, 1).requires_grad_()
            torch.autograd.grad(module(batch)[:, 0].sum(), batch)

        for place, run in enumerate((forward, backward)):
            for size in SIZES:
                deadline = time.perf_counter() + budget / len(SIZES) / 2
                rounds = 0
                while rounds < 2 or time.perf_counter() < deadline:
                    took = seconds(lambda run=run, size=size: run(size), model.device)
                    best[place] = min(best[place], took / size)
                    rounds += 1
                if took > 0.5:
                    break
    bench.best = (best[0], best[1])
    return bench.best


def row(bench: Bench, each: AttributionMethod, budget: float) -> str:
    """Time one method on one network; a line of the table."""
    fit = describe(bench.model).fits[each.name]
    if not fit.usable:
        return f"| {each.name} | not valid | | | | |"
    settings = checked(each.parameters, SHORTER.get(each.name, {}), each.title)
    device = bench.model.device
    call, laid_out = captums(bench, each, settings)
    ours = bench.ours(each, settings)
    try:
        theirs = laid_out(call())
    except Exception:
        call = None
    mine = other = float("inf")
    deadline, rounds = time.perf_counter() + budget, 0
    while rounds < 3 or time.perf_counter() < deadline:
        mine = min(mine, seconds(lambda: bench.ours(each, settings), device))
        if call is not None:
            other = min(other, seconds(call, device))
        if rounds % 4 == 0:
            passes(bench, budget / 8)
        rounds += 1
    cost = each.cost(settings, bench.batch().axes[0])
    if "n_segments" in settings:  # as many as were found, not as were asked for
        found = int(bench.adapter.segments(bench.batch(), settings).max()) + 1
        cost = each.cost({**settings, "n_segments": found}, bench.batch().axes[0])
    floor = cost.forward * bench.best[0] + cost.backward * bench.best[1]
    ratio, gap = "raises", ""
    if call is not None:
        ratio = f"{mine / other:.2f}"
        peak = np.abs(ours).max()
        comparable = theirs is not None and peak > 0
        gap = f"{np.abs(ours - theirs).max() / peak:.0e}" if comparable else "–"
    return (
        f"| {each.name} | {1e3 * mine:.1f} | {ratio} | {mine / floor:.2f} "
        f"| {cost.forward:.0f} + {cost.backward:.0f} | {gap} |"
    )


def main() -> None:
    """Print the machine, then one table per network."""
    parser = argparse.ArgumentParser(description="Time every attribution method.")
    parser.add_argument("--quick", action="store_true", help="one second per method")
    parser.add_argument("--models", nargs="+", choices=PICTURES, default=list(PICTURES))
    parser.add_argument("--methods", nargs="+", default=[each.name for each in METHODS])
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Captum's, about hooks that are undone anyway
    device = choose(options.device)
    threads = probe_threads()
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{platform.system()}, {place}, {os.cpu_count()} cores, {threads} threads")
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"captum {captum.__version__}"
    )
    for name in options.models:
        bench = Bench.of(name, device)
        found = describe(bench.model)
        forward, backward = passes(bench, 1.0)
        print(
            f"\n### {name}\n\nA pass of one example at best: {1e3 * forward:.2f} ms forward, "
            f"{1e3 * backward:.2f} ms with backward; batches of {found.batch_size} and "
            f"{found.backward_batch_size}; decoding {1e3 * bench.adapter.decoding:.1f} ms.\n"
        )
        print("| method | ms | ÷ Captum | ÷ floor | passes | difference |")
        print("|---|---:|---:|---:|---:|---:|", flush=True)
        for each in METHODS:
            if each.name in options.methods:
                print(row(bench, each, 1.0 if options.quick else 4.0), flush=True)


if __name__ == "__main__":
    sys.exit(main())
