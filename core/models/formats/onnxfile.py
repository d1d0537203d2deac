"""An ONNX graph over pictures as a module without layers: run by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import BadModel, shortened
from core.models.exported.holding import Held
from core.models.formats.onnxbytes import AGAIN, missing, whole
from core.models.rowscorer import Shared

_TYPES = {"float": "float32", "double": "float64"}


class _Session(Shared):
    """A graph that onnxruntime has read; copies share it."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise missing(path) from None
        data = whole(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.run = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a stranger's file may break the library in any way
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadModel(
                f"'{path.name}' is no ONNX graph that runs here: "
                f"{shortened(reason, 160).rstrip('.')}.",
                AGAIN,
            ) from None


class Graph(nn.Module):
    """Pixels ``[example, channel, row, column]`` to logits ``[example, class]``, without
    gradients. Inputs that are not ``looked`` into are ``held`` (``core.models.exported.held``).
    """

    def __init__(
        self, path: Path, looked: str = "", held: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        super().__init__()
        self._session = _Session(path)
        every = self._session.run.get_inputs()
        first = next((each for each in every if each.name == looked), every[0])
        self._name = first.name
        known = (held or {}).items()
        self._held = {name: Held(about, getattr(torch, about["dtype"])) for name, about in known}
        self._batch = first.shape[0] if isinstance(first.shape[0], int) else 0

    def forward(self, pixels: Tensor) -> Tensor:
        """A graph of a fixed batch is run in parts of it, the last one filled up."""
        size = self._batch or len(pixels)
        answers = []
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            lacking = size - len(part)
            if lacking:
                part = torch.cat([part, part[-1:].expand(lacking, *part.shape[1:])])
            part = part.detach().cpu().float()
            more = {name: each.beside(part).numpy() for name, each in self._held.items()}
            (answer,) = self._session.run.run(
                [self._session.run.get_outputs()[0].name], {self._name: part.numpy(), **more}
            )
            answers.append(torch.from_numpy(answer))
        return torch.cat(answers)[: len(pixels)].to(pixels.device)


def module(
    path: str, looked: str = "", held: Mapping[str, Mapping[str, Any]] | None = None
) -> nn.Module:
    """The graph in a file of the workspace, only to be asked. Raises ``BadModel``,
    ``MissingExtra``.
    """
    return Graph(Path(path), looked, held)


def asked(path: Path) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """All outputs of a graph for its inputs in their order. Raises ``BadModel``."""
    session = _Session(path).run
    names = [each.name for each in session.get_inputs()]

    def ask(given: Sequence[Tensor]) -> list[Tensor]:
        values = {name: each.numpy() for name, each in zip(names, given, strict=True)}
        return [torch.from_numpy(np.asarray(each)) for each in session.run(None, values)]

    return ask


def shapes_of(path: Path) -> list[dict[str, Any]]:
    """The inputs as an exported program describes them. Raises ``BadModel``."""
    return [_shape(each) for each in _inputs(Graph(path))]


def _shape(given: Any) -> dict[str, Any]:
    sizes = [each if isinstance(each, int) else None for each in given.shape]
    kind = given.type.removeprefix("tensor(").rstrip(")")
    return {
        "name": given.name,
        "dtype": _TYPES.get(kind, kind),
        "least": [each or 1 for each in sizes],
        "most": [None, *sizes[1:]] if sizes else [],
    }


def _inputs(graph: Graph) -> Any:
    return graph._session.run.get_inputs()
