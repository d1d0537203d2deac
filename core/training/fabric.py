"""Where a run computes, and with which numbers: Lightning Fabric knows devices and precisions."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from core.device import choose
from core.errors import BadParameter


def fabric(device: str, precision: str, devices: int = 1) -> Fabric:
    """Fabric on the device that a config names, in the precision of its settings.

    With several devices (of each machine) it waits for the other processes of the team. Raises
    ``BadParameter`` when there are not as many.
    """
    where = choose(device)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(where.type, devices)
    if devices > there:
        raise BadParameter(
            f"Training on {devices} devices was asked for, and there are {there}.",
            f"Use --set devices={there}.",
        )
    gains = where.type == "cuda" and torch.cuda.is_bf16_supported()
    named: Any = {"auto": "bf16-mixed" if gains else "32-true", "32": "32-true"}
    chosen: Any = devices
    if where.type == "cuda":
        chosen = [where.index or 0] if devices == 1 else list(range(devices))
    made = Fabric(
        accelerator=where.type,
        devices=chosen,
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        strategy=DDPStrategy(find_unused_parameters=True) if devices > 1 else "auto",
        precision=named.get(precision, precision),
    )
    if devices > 1:
        made.launch()
    return made
