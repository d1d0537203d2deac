"""Texts that make a bad pattern in a tokenizer try the same again and again, within a time limit.

An operation in one call of a library cannot be asked to stop; a process can. So this is for a
confined process: where a text takes too long, the system ends it (``SIGPROF``), and whoever started
it says why.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

LONGEST: Final = 10_000
"""Characters of the longest text."""
SECONDS: Final = 20
"""Of the processor, for all of them together."""
ENDED: Final = -signal.SIGPROF
"""The exit status of a process whose tokenizer took longer."""
_UNITS = ("a", " ", "0", "a ", "!", "\n", "ab1 ", "é", "\u4e00", "_-")
# A time that doubles with each character is beyond every limit at the first, one that grows with
# the third power at the second; libraries give up on single matches, not on many of them.
_LENGTHS = (40, 2_000, LONGEST)


def probed(encode: Callable[[str], object]) -> None:
    """Encode long runs of the same, and some that end otherwise; what it raises is passed on."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        for unit in _UNITS:
            for length in _LENGTHS:
                run = (unit * length)[:length]
                for text in (run, f"{run}!", f"{run}\u2603"):
                    encode(text)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
