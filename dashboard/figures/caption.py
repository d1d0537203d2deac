"""Words on figures: the line under an exported figure, and text made safe for Plotly."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from core.results import Attribution

_ACRONYMS = {"cam": "CAM", "shap": "SHAP", "lime": "LIME", "lrp": "LRP", "rise": "RISE"}


def escaped(text: str) -> str:
    """``text`` for Plotly, which reads HTML tags in titles, annotations, hovers and tick labels."""
    return html.escape(text, quote=False)


def elided(text: str, length: int) -> str:
    """``text`` cut to ``length`` characters with an ellipsis at its end."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def method_title(name: str) -> str:
    """``integrated_gradients`` as ``Integrated gradients``."""
    words = [_ACRONYMS.get(word, word) for word in name.split("_") if word]
    title = " ".join(words)
    return title[:1].upper() + title[1:]


def caption(result: Any, defaults: Mapping[str, Any] | None = None) -> str:
    """One line for under an exported figure: what is seen and where it comes from.

    Names model, and for an attribution example, method, target and the settings that differ from
    ``defaults`` (all, without it), and the date (UTC). Plain text: escape it for Plotly.
    """
    provenance = result.provenance
    parts = [provenance.model, getattr(result, "example", "")]
    if isinstance(result, Attribution):
        parts += [method_title(result.method), f"target {result.target.title}"]
        parts.append(_settings(result.settings, defaults or {}))
        parts.append("" if result.fit.level == "exact" else result.fit.level)
    parts.append(provenance.created[:10])
    return " · ".join(filter(None, parts))


def _settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value}"
        for name, value in settings.items()
        if value not in (None, "") and (name not in defaults or defaults[name] != value)
    )
