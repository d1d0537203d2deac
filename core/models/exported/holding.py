"""The value of an input that is held, as a tensor: made once for each device, and not
copied for each example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Held:
    """An input ``about`` as ``core.models.exported.held.arguments`` tells it."""

    def __init__(self, about: Mapping[str, Any], dtype: torch.dtype) -> None:
        self._about = about
        self._dtype = dtype
        self._made: dict[torch.device, Tensor] = {}

    @property
    def is_text(self) -> bool:
        """Whether it may be ids of tokens."""
        return not self._dtype.is_floating_point and self._dtype is not torch.bool

    def gave(self, tensor: Tensor) -> bool:
        """Whether these numbers are its own, in its own memory: equal ones of another text are
        not.
        """
        place = tensor.untyped_storage().data_ptr()
        return any(each.untyped_storage().data_ptr() == place for each in self._made.values())

    def beside(self, like: Tensor) -> Tensor:
        """Its value on the device of ``like``, for each of its examples where it has one each."""
        about = self._about
        value = self._made.get(like.device)
        if value is None:
            value = torch.tensor(about["value"], dtype=self._dtype, device=like.device)
            if value.ndim:
                value = value.reshape([-1 if each is None else each for each in about["shape"]])
            self._made[like.device] = value
        if not value.ndim and about["usual"]:
            start = int(about["batched"])
            sizes = [each or like.shape[start + axis] for axis, each in enumerate(about["usual"])]
            value = value.expand(sizes)
        if about["batched"]:
            return value.expand(len(like), *value.shape)
        return value.clone()  # a network may write to it
