"""Where a run computes, and with which numbers: Lightning Fabric knows devices and precisions."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric

from core.device import choose


def fabric(device: str, precision: str) -> Fabric:
    """Fabric on the device that a config names, in the precision of its settings.

    Raises ``BadParameter`` when the device is not there.
    """
    where = choose(device)
    gains = where.type == "cuda" and torch.cuda.is_bf16_supported()
    named: Any = {"auto": "bf16-mixed" if gains else "32-true", "32": "32-true"}
    devices: Any = [where.index or 0] if where.type == "cuda" else 1
    return Fabric(
        accelerator=where.type, devices=devices, precision=named.get(precision, precision)
    )
