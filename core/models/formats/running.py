"""The first run of a network of one's own: what it answers a usual example."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from core.errors import BadModel, UserError, shortened
from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.loader import adapter
from core.models.reference import ModelRef
from core.tasks import Task


def ran(about: ModelCard, module: nn.Module) -> dict[str, Any]:
    """What is seen when a typical example is given: the shape of the answer, whether it is the same
    twice. Raises ``BadModel`` when it cannot be run or its answer is not finite.
    """
    model = LoadedModel(
        ModelRef(about.name, ""), about, adapter(about, module), torch.device("cpu"), module.eval()
    )
    try:
        batch = model.adapter.typical(model)
        with model.exclusive() as ready, torch.no_grad():
            first, second = (
                model.adapter.logits(ready, batch.features, *batch.context).float()
                for _ in range(2)
            )
    except (UserError, MemoryError):
        raise
    except Exception as error:  # a stranger's numbers may break torch in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "allocate memory" in reason:
            raise MemoryError from None
        raise BadModel(
            f"'{about.name}' cannot be run: {shortened(reason, 160).rstrip('.')}.",
            "Check the sizes in its card: pictures, columns, tokens.",
        ) from None
    if not bool(torch.isfinite(first).all()):
        raise BadModel(
            f"'{about.name}' answers a usual example with NaN or infinite numbers.",
            "Check its weights and its preprocessing.",
        )
    classes = about.task is not Task.CAUSAL_LANGUAGE_MODEL
    return {
        "answer": list(first.shape[1:]) if classes else [1, 2],
        "filled": {},
        "batch": 0,
        "freed": 0,
        "left_out": [],
        "steady": torch.equal(first, second),
        "training": False,
        "operators": {},
        "layers": [[name, type(part).__name__] for name, part in module.named_modules() if name],
    }
