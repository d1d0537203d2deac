"""The text in an uploaded file."""

from __future__ import annotations

from core.errors import BadInput
from core.tasks import Example


def decode(example: Example) -> str:
    """The text of an example.

    Raises ``BadInput`` when it is not UTF-8 or holds nothing but spaces.
    """
    try:
        text = example.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"'{example.name}' is not UTF-8 text: byte {error.start:,} cannot be read.",
            "Save it as UTF-8.",
        ) from None
    if not text.strip():
        raise BadInput(f"'{example.name}' holds only spaces.", "Write something.")
    return text
