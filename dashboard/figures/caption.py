"""Words on figures: the line under an exported figure, and text made safe for Plotly."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
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


def caption(
    results: Any,
    *,
    titles: Mapping[str, str] | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """One line for under an exported figure: what is seen and where it comes from.

    ``results`` is one result or several of one example. Names model and, for attributions, example,
    methods with the settings that differ from ``defaults`` (by method; all, without it), targets,
    and the date (UTC). ``titles`` names methods. Plain text: escape it for Plotly.
    """
    several = list(results) if isinstance(results, Sequence) else [results]
    provenance = several[0].provenance
    attributions = [each for each in several if isinstance(each, Attribution)]
    methods = dict.fromkeys(_method(each, titles or {}, defaults or {}) for each in attributions)
    targets = list(dict.fromkeys(each.target.title for each in attributions))
    parts = [provenance.model, getattr(several[0], "example", ""), ", ".join(methods)]
    if targets:
        parts.append(f"target{'s' * (len(targets) > 1)} {', '.join(targets)}")
    parts.append(provenance.created[:10])
    return " · ".join(filter(None, parts))


def _method(
    attribution: Attribution,
    titles: Mapping[str, str],
    defaults: Mapping[str, Mapping[str, Any]],
) -> str:
    usual = defaults.get(attribution.method, {})
    notes = [
        f"{name} = {value}"
        for name, value in attribution.settings.items()
        if value not in (None, "") and (name not in usual or usual[name] != value)
    ]
    if attribution.fit.level != "exact":
        notes.append(attribution.fit.level)
    title = titles.get(attribution.method) or method_title(attribution.method)
    return f"{title} ({', '.join(notes)})" if notes else title
