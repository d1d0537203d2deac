"""The text in an uploaded file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Final

from core.errors import BadInput
from core.tasks import Example

MAX_BYTES: Final = 1_000_000
_MARKS: Final = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")  # without white space such as tabs and pages


def decode(example: Example) -> str:
    """The text of an example, as it stands: UTF-8 with or without a byte-order mark, or UTF-16 and
    UTF-32 with one.

    Raises ``BadInput`` when it has more than 1,000,000 bytes, is in another encoding, holds null
    bytes or other control characters, or nothing but spaces.
    """
    if len(example.data) > MAX_BYTES:
        raise BadInput(
            f"'{example.name}' has {len(example.data):,} bytes, a text may have {MAX_BYTES:,}.",
            "Take a part of it.",
        )
    encoding = next((name for mark, name in _MARKS if example.data.startswith(mark)), "utf-8-sig")
    try:
        text = example.data.decode(encoding)
    except UnicodeDecodeError as error:
        kind = encoding.removesuffix("-sig").upper()
        raise BadInput(
            f"'{example.name}' is not {kind} text: byte {_place(example.data, error):,} cannot be "
            "read.",
            "Save it as UTF-8.",
        ) from None
    if found := _CONTROL.search(text):
        raise BadInput(
            f"'{example.name}' is not plain text: character {found.start() + 1:,} is "
            + ("a null byte." if found[0] == "\0" else f"the control code U+{ord(found[0]):04X}."),
            "Remove it, or save the text as UTF-8.",
        )
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise BadInput(f"'{example.name}' holds only spaces.", "Write something.")
    return text


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """``text`` without the characters in ``spans`` and the one space that each leaves over."""
    for start, end in sorted(spans, reverse=True):
        head, tail = text[:start], text[end:]
        if head[-1:].isspace() and not tail[:1].isalnum():
            head = head[:-1]
        elif not head and tail[:1].isspace():
            tail = tail[1:]
        text = head + tail
    return text


def _place(data: bytes, error: UnicodeDecodeError) -> int:
    """Counted from 0 in the whole file: codecs may leave the byte-order mark out."""
    return error.start + len(data) - len(error.object)
