"""What a file says of itself: settings and provenance, put into each format where it belongs."""

from __future__ import annotations

import json
import math
import re
import secrets
import struct
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from core.provenance import Provenance

# Longer arrays belong into the npz.
_MOST_NUMBERS = 10_000


def plain(value: Any) -> Any:
    """A copy of JSON values: arrays of more than 10,000 numbers only by shape and type, bytes by
    their number, what is not finite as null.
    """
    if isinstance(value, Provenance):
        return plain(value.as_json())
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, np.ndarray):
        if value.size <= _MOST_NUMBERS:
            return plain(value.tolist())
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def embedded(about: Mapping[str, Any]) -> str:
    """JSON that is harmless inside HTML and XML, whatever a file was called."""
    text = json.dumps(about, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def png(data: bytes, about: Mapping[str, Any]) -> bytes:
    """The picture as it was drawn, with a text chunk after the 33 bytes of signature and header."""
    chunk = b"tEXt" + b"fluoroscope\0" + json.dumps(about, allow_nan=False).encode("ascii")
    sealed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + sealed + data[33:]


def svg(data: bytes, about: Mapping[str, Any]) -> bytes:
    """With a ``metadata`` element, first of all."""
    note = f"<metadata>{embedded(about)}</metadata>"
    return re.sub(r"<svg\b[^>]*>", lambda tag: tag[0] + note, data.decode(), count=1).encode()


def pdf(data: bytes, about: Mapping[str, Any]) -> bytes:
    """With a comment, then the ending once more, since readers look for it in the last bytes."""
    ending = data[data.rindex(b"startxref") :].rstrip() + b"\n"
    comment = b"%fluoroscope " + json.dumps(about, allow_nan=False).encode("ascii") + b"\n"
    return data.rstrip() + b"\n" + comment + ending


def sealed(data: bytes, format_: str, document: Mapping[str, Any]) -> bytes:
    """A drawn text (HTML, SVG, PDF or LaTeX) with ``document`` as its metadata."""
    about = plain(document) | {"nonce": secrets.token_hex(8)}
    if format_ == "html":
        note = f'<script type="application/json" id="fluoroscope">{embedded(about)}</script>'
        return data.replace(b"</head>", f"{note}</head>".encode(), 1)
    if format_ == "tex":
        return b"% fluoroscope " + json.dumps(about, allow_nan=False).encode("ascii") + b"\n" + data
    return {"svg": svg, "pdf": pdf}[format_](data, about)
