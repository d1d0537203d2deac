"""With which model the one in hand is compared: a choice that is never empty."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.comparison.fit import check
from core.compression import source
from core.compression.methods import settled
from core.engine.call import Call
from core.errors import FluoroscopeError, shortened
from core.models.card import ModelCard
from core.models.catalogue import card, reference
from core.models.reference import ModelRef
from core.provenance import sha256_of_json
from dashboard import cached, state, waiting
from dashboard.runs import shown_runs

EIGHT_BITS = "int8"
_RUN = "run:"
_STEPS = settled([{"method": EIGHT_BITS}])


@dataclass(frozen=True)
class Other:
    """The model that stands beside the one in hand."""

    ref: ModelRef
    card: ModelCard
    titles: tuple[str, str]


def chosen(now: state.Selection) -> Other | None:
    """Draw the choice; the model chosen. None while it is being made, which the page then says."""
    known = candidates(now.model)
    name = now.other if now.other in known else next(iter(known))
    st.selectbox(
        "Compared with",
        list(known),
        format_func=known.get,
        width=420,
        **state.bind("other", name),
    )
    if now.other and now.other != name:
        st.info(
            f"'{state.plain(shortened(now.other, 80))}' cannot stand beside this model; "
            f"{state.plain(known[name])} does."
        )
    try:
        ref = _made(now.model) if name == EIGHT_BITS else cached.model_ref(name)
        if ref is None:
            return None
        return Other(ref, card(ref.name), (cached.model_card(now.model).title, known[name]))
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return None


def candidates(model: str) -> dict[str, str]:
    """Titles of the models that may stand beside this one, the most telling first: what it was
    compressed from, models with the same classes, early checkpoints of its own run, what was
    compressed of it, itself in eight bits, and other runs.
    """
    own = cached.model_card(model)
    found: dict[str, str] = {}
    if "compression" in own.raw:
        with suppress(FluoroscopeError):
            found[str(own.raw["of"])] = card(str(own.raw["of"])).title
    weights = cached.model_ref(model).fingerprint
    fitting = {name: each for name, each in cached.models().items() if _fits(own, each, weights)}
    shared = {name: len(_shared(own, each)) for name, each in fitting.items()}
    several = sorted((name for name in fitting if shared[name] != 1), key=lambda n: -shared[n])
    derived = (_RUN, source.PREFIX)
    found |= {name: fitting[name].title for name in several if not name.startswith(derived)}
    found |= _checkpoints(model)
    eight, _ = _eight_bits(model)
    for name in source.names():
        with suppress(FluoroscopeError):
            if (each := card(name)).raw.get("of") == model and name not in (model, eight):
                found[name] = each.title.removeprefix(f"{own.title} · ")
    if "compression" not in own.raw:
        found[EIGHT_BITS] = "Itself in eight bits"
    rest = {name: each.title for name, each in fitting.items() if name not in (*found, eight)}
    return found | rest


def _shared(own: ModelCard, each: ModelCard) -> set[str]:
    return {name.lower() for name in own.classes} & {name.lower() for name in each.classes}


def _fits(own: ModelCard, each: ModelCard, weights: str) -> bool:
    """Whether it can be compared, and is not the same model by another name."""
    try:
        check(own, each)
        return cached.model_ref(each.name).fingerprint != weights
    except FluoroscopeError:
        return False  # also where a package or its weights are not there


def _checkpoints(model: str) -> dict[str, str]:
    """Epochs that were kept of the run that the model is of, or of a run of its recipe."""
    found = {}
    bare = model.removeprefix(_RUN).partition("@")[0] if model.startswith(_RUN) else ""
    for name, shown in shown_runs(cached.place()).items():
        if name != bare and (bare or shown.recipe.name != model):
            continue
        for each in shown.checkpoints:
            found[f"{_RUN}{name}@{each.epoch}"] = f"{shown.title}, epoch {each.epoch}"
    found.pop(model, None)
    return found


def _made(model: str) -> ModelRef | None:
    """The model in eight bits, made as the Compression page makes it; None until it is there."""
    name, folder = _eight_bits(model)
    asked = {"steps": list(_STEPS), "out": str(folder)}
    making = cached.handle(Call("compress", cached.model_ref(model), (), asked))
    under_way = waiting.under_way({"Making it": making})
    if under_way or waiting.failed("Making it", making):
        waiting.watch(under_way)
        return None
    return reference(name)


def _eight_bits(model: str) -> tuple[str, Path]:
    """What it is called, and the folder in which it lies."""
    ref = cached.model_ref(model)
    key = sha256_of_json([ref.fingerprint, list(_STEPS)])
    return source.named(cached.place(), ref, key[:16])
