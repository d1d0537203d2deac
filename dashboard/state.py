"""What is in hand: one frozen selection shared by all pages, kept in the URL.

The address bar is the truth: widgets are filled from it before they are drawn and write to it when
they change, so a copied link, a reload and the browser's back button all show the same view.
This is the only file that touches ``st.session_state``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

SIGNS = ("both", "positive", "negative")
SCALES = ("shared", "own")
MODES = ("overlay", "map")
LEVELS = ("token", "word", "sentence")
SHOWS = ("map", "lines", "token", "picture", "rollout", "flow", "mean")
ORDERS = ("layer", "type", "entropy")
PANELS = ("example", "data", "part", "alike", "lens", "cut")
TABS = ("watch", "compare", "machine", "start", "logs")
ACROSS = ("epoch", "step", "time", "examples")
_KEPT = "selection"
_NOTICE = "notice"
_MOST_HANDLES = 64


@dataclass(frozen=True)
class Selection:
    """The model, the example and the view of it; the runs in hand. Empty fields stand for their
    defaults.

    ``example`` is the name of a bundled example or ``upload:<sha256>``, and so is ``baseline``, the
    picture that the baseline ``image`` stands for; ``methods`` are names;
    ``settings`` maps ``method.parameter`` to what was typed, only where it differs from the
    default. ``original`` is the text that ``example`` is an edit of, ``picked`` the characters of a
    word chosen in it as ``start-end``, ``table`` a file of many texts and ``column``
    the one that holds them. ``level`` is what the values of a text are summed over and ``special``
    whether special tokens are ``shown``. ``layer`` and ``head`` are a head of attention (-1 the one
    to begin with), ``show`` how it is drawn, ``order`` that of all heads, ``place`` the token
    looked from (-1 none in particular), ``off`` the heads switched off as ``layer:head``. ``runs``
    are names of runs, ``across`` what their curves go over, ``smoothing`` in percent; ``logs`` is a
    folder of event files. ``subset`` is the key of the examples picked out of the model's data;
    ``panel`` is the part of the Layers page, ``statistic`` what colours its layers, ``pair`` two
    classes as ``3-5``, ``other`` a model to compare with, ``cut`` what is switched off as
    ``layer:unit`` or ``layer:`` and ``instead`` what these say then, ``drive`` how units that drive
    an answer are found; ``module`` and ``unit`` are the layer and the unit in hand (-1
    none); ``reducer`` makes the map
    with ``seed`` in ``dims`` dimensions, whose points are coloured by ``tint``, and ringed where
    they have false neighbours unless ``rings`` is ``no``.
    """

    model: str = ""
    example: str = ""
    baseline: str = ""
    original: str = ""
    picked: str = ""
    table: str = ""
    column: str = ""
    methods: tuple[str, ...] = ()
    target: str = "top"
    view: str = "overlay"
    sign: str = "both"
    scale: str = "shared"
    opacity: int = 70
    level: str = "word"
    special: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    layer: int = -1
    head: int = 0
    show: str = ""
    order: str = "layer"
    place: int = -1
    off: tuple[str, ...] = ()
    tab: str = "watch"
    runs: tuple[str, ...] = ()
    across: str = "epoch"
    smoothing: int = 0
    logarithmic: str = ""
    epoch: int = 0
    metric: str = ""
    by: str = ""
    recipe: str = ""
    logs: str = ""
    subset: str = ""
    panel: str = "example"
    statistic: str = ""
    pair: str = ""
    other: str = ""
    module: str = ""
    unit: int = -1
    cut: tuple[str, ...] = ()
    instead: str = "zero"
    drive: str = "layer_conductance"
    reducer: str = "umap"
    dims: int = 2
    seed: int = 0
    tint: str = ""
    rings: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, list[str]]) -> Selection:
        """Read an address; what is missing or senseless becomes its default."""

        def one(name: str, allowed: tuple[str, ...] = ()) -> str:
            value = (query.get(name) or [""])[-1]
            default = str(getattr(cls, name))
            return value if value and (not allowed or value in allowed) else default

        def whole(name: str, most: int) -> int:
            text = one(name)
            short = text[: len(str(most))] if text.isdecimal() else ""
            return min(most, int(short)) if short else int(getattr(cls, name))

        pairs = [text.partition("=") for text in query.get("set", [])]
        return cls(
            model=one("model"),
            example=one("example"),
            baseline=one("baseline"),
            original=one("original"),
            picked=one("picked"),
            table=one("table"),
            column=one("column"),
            methods=tuple(dict.fromkeys(filter(None, one_list(query, "methods")))),
            target=one("target"),
            view=one("view", MODES),
            sign=one("sign", SIGNS),
            scale=one("scale", SCALES),
            opacity=whole("opacity", 100),
            level=one("level", LEVELS),
            special=one("special", ("shown",)),
            settings={name: value for name, sign, value in pairs if sign},
            layer=whole("layer", 9_999),
            head=whole("head", 9_999),
            show=one("show", SHOWS),
            order=one("order", ORDERS),
            place=whole("place", 999_999),
            off=tuple(dict.fromkeys(filter(None, one_list(query, "off")))),
            tab=one("tab", TABS),
            runs=tuple(dict.fromkeys(filter(None, one_list(query, "runs")))),
            across=one("across", ACROSS),
            smoothing=whole("smoothing", 99),
            logarithmic=one("logarithmic", ("yes",)),
            epoch=whole("epoch", 10**9),
            metric=one("metric"),
            by=one("by"),
            recipe=one("recipe"),
            logs=one("logs"),
            subset=one("subset"),
            panel=one("panel", PANELS),
            statistic=one("statistic"),
            pair=one("pair"),
            other=one("other"),
            cut=tuple(dict.fromkeys(filter(None, one_list(query, "cut")))),
            instead=one("instead", ("zero", "mean")),
            drive=one("drive"),
            module=one("module"),
            unit=whole("unit", 9_999_999),
            reducer=one("reducer"),
            dims=3 if one("dims") == "3" else 2,
            seed=whole("seed", 2**31 - 1),
            tint=one("tint"),
            rings=one("rings", ("no",)),
        )

    def to_query(self) -> dict[str, str | list[str]]:
        """The address of this selection; defaults are left out."""
        query: dict[str, str | list[str]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("methods", "runs", "off", "cut"):
                if value:
                    query[item.name] = ",".join(value)
            elif item.name == "settings":
                if value:
                    query["set"] = [f"{name}={text}" for name, text in sorted(value.items())]
            elif value != item.default:
                query[item.name] = str(value)
        return query


def one_list(query: Mapping[str, list[str]], name: str) -> list[str]:
    """A comma-separated list from an address."""
    return [part.strip() for part in ",".join(query.get(name, [])).split(",")]


def selection() -> Selection:
    """The selection in hand: from the address, or, after a change of page, the one kept."""
    query = {name: st.query_params.get_all(name) for name in st.query_params}
    known = {item.name for item in fields(Selection)} | {"set"}
    if any(name in known for name in query):
        chosen = Selection.from_query(query)
    else:
        chosen = st.session_state.get(_KEPT, Selection())
    return keep(chosen)


def keep(chosen: Selection) -> Selection:
    """Make this the selection in hand and show it in the address bar."""
    st.session_state[_KEPT] = chosen
    wanted = chosen.to_query()
    shown = {
        name: values if name == "set" else values[-1]
        for name in st.query_params
        if (values := st.query_params.get_all(name))
    }
    if shown != wanted:
        st.query_params.from_dict(wanted)
    return chosen


def change(**changes: Any) -> Selection:
    """Replace fields of the selection in hand; what was told before is settled by it."""
    st.session_state.pop(_NOTICE, None)
    return keep(replace(selection(), **changes))


def bind(
    name: str,
    value: Any,
    convert: Callable[[Any], Any] | None = None,
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments that tie a widget to the field ``name``: it shows ``value``, and a change of it is
    written back, through ``convert`` where there is one, together with the fields ``also``.

    >>> st.selectbox("Model", names, **bind("model", selection.model))
    """
    key = f"bound:{name}"

    def write() -> None:
        new = st.session_state[key]
        if new is not None:
            change(**{name: convert(new) if convert else new}, **(also or {}))

    st.session_state[key] = value
    return {"key": key, "on_change": write}


def bind_setting(method: str, parameter: str, value: Any, default: Any) -> dict[str, Any]:
    """Like ``bind`` for one parameter of one method; the default is not kept in the address."""
    name = f"{method}.{parameter}"
    key = f"bound:set:{name}"

    def write() -> None:
        settings = {k: v for k, v in selection().settings.items() if k != name}
        if st.session_state[key] not in (None, default):
            settings[name] = str(st.session_state[key])
        change(settings=settings)

    st.session_state[key] = value
    return {"key": key, "on_change": write}


def tell(message: str) -> None:
    """Say something at the top of the page until the next change."""
    st.session_state[_NOTICE] = message


def told() -> str:
    """What there is to say at the top of the page, or nothing."""
    message: str = st.session_state.get(_NOTICE, "")
    return message


def visitor() -> str:
    """The browser session: one for each tab, another one after a reload."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context is not None else ""


def present(session: str) -> bool:
    """Whether a browser session is still connected."""
    return runtime.exists() and runtime.get_instance().is_active_session(session)


def is_new(token: str) -> bool:
    """Whether this is seen for the first time in this browser session, like a finished upload."""
    seen: set[str] = st.session_state.setdefault("seen", set())
    if token in seen:
        return False
    seen.add(token)
    return True


def handles() -> dict[str, Any]:
    """Handles of this browser session by the key of their call, the oldest finished ones let go."""
    held: dict[str, Any] = st.session_state.setdefault("handles", {})
    for key in list(held)[: max(0, len(held) - _MOST_HANDLES)]:
        if held[key].state == "done":
            del held[key]
    return held


def met() -> set[str]:
    """Keys of calls that a page of this session has already waited for."""
    found: set[str] = st.session_state.setdefault("met", set())
    return found


def wanted() -> set[str]:
    """Keys of the calls that the page being drawn shows."""
    keys: set[str] = st.session_state.setdefault("wanted", set())
    return keys


def pressed(label: str, key: str, **options: Any) -> bool:
    """A button whose press is kept until a run of the page comes to it.

    ``st.button`` forgets the press when the run that should have seen it gives way to another one,
    as when a part of the page reports its width at that moment. Whoever asks acts before anything
    else is drawn: the press is forgotten as soon as it is told.
    """
    kept = f"pressed:{key}"
    st.button(label, key=key, on_click=_press, args=(kept,), **options)
    return bool(st.session_state.pop(kept, False))


def _press(kept: str) -> None:
    st.session_state[kept] = True


def estimates() -> dict[str, Any]:
    """Jobs that estimate what a run will cost, by recipe, asked for in this browser session."""
    found: dict[str, Any] = st.session_state.setdefault("estimates", {})
    return found


def plain(text: str) -> str:
    """Text of a person or a file as it stands, with nothing in it read as Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:])", r"\\\1", text)


def asked() -> set[str]:
    """Keys of the dear calls that were started by a click in this browser session."""
    keys: set[str] = st.session_state.setdefault("asked", set())
    return keys


def reported(key: str, name: str, default: int) -> int:
    """A number that a component keeps in its state, or the default before it has told."""
    value = getattr(st.session_state.get(key), name, None)
    return int(value) if isinstance(value, (int, float)) else default


def read(key: str) -> Any:
    """What a component reported under its key; for its callbacks."""
    return st.session_state[key]
