"""Whether two models can be compared at all. Imports no torch: pages and commands ask it too."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import BadInput, NotValid
from core.models.card import ModelCard

_READS = {"pixels": "pictures", "tokens": "texts", "columns": "rows of tables"}


def check(first: ModelCard, second: ModelCard) -> None:
    """Whether two models can be compared.

    Raises ``NotValid`` when they read different things or only one of them writes, ``BadInput``
    when they have no class in common.
    """
    if first.task.axis != second.task.axis:
        raise NotValid(
            f"'{first.name}' reads {_READS[first.task.axis]}, '{second.name}' "
            f"{_READS[second.task.axis]}: there is no example that both could answer.",
            "Choose two models that read the same.",
        )
    if bool(first.classes) is not bool(second.classes):
        writes, says = (second, first) if first.classes else (first, second)
        raise NotValid(
            f"'{writes.name}' writes, '{says.name}' chooses among classes: their answers cannot be "
            "compared.",
            "Choose two classifiers, or two models that write.",
        )
    if not first.classes and first.task is not second.task:
        raise NotValid(
            f"'{first.name}' is a model for {str(first.task).replace('-', ' ')}, '{second.name}' "
            f"for {str(second.task).replace('-', ' ')}.",
            "Choose two of the same kind.",
        )
    if first.classes:
        common(first.name, first.classes, second.name, second.classes)


def common(
    first: str, ours: Sequence[str], second: str, theirs: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Classes that both models have, matched by name without regard to case: the first's name of
    each with its place in ``ours`` and in ``theirs``.

    Raises ``BadInput`` when there are none.
    """
    place = {name.lower(): index for index, name in reversed(list(enumerate(theirs)))}
    found = {
        name: (index, place[name.lower()])
        for index, name in enumerate(ours)
        if name.lower() in place
    }
    if not found:
        raise BadInput(
            f"'{first}' and '{second}' have no class in common: the one says {_few(ours)}, the "
            f"other {_few(theirs)}.",
            "Choose models that tell the same classes apart.",
        )
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")
