"""Names, shares and bytes as people say them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share, also a small one."""
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def sized(count: int) -> str:
    """Bytes as people say them."""
    power = min(3, int(math.log2(count) // 10)) if count >= 1024 else 0
    return f"{count / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"
