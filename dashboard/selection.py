"""What a person has in hand, as the address of the page tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

SIGNS = ("both", "positive", "negative")
SCALES = ("shared", "own")
MODES = ("overlay", "map")
LEVELS = ("token", "word", "sentence")
SHOWS = ("map", "lines", "token", "picture", "rollout", "flow", "mean")
ORDERS = ("layer", "type", "entropy")
SHRUNK = ("saved", "reasons", "who", "sweep")
JUDGED = ("confusions", "curves", "calibration", "groups", "measures")
COMPARED = ("answers", "metrics", "reasons", "attention", "layers")
MOVED = ("training", "alike", "self")
PANELS = ("example", "data", "part", "alike", "lens", "cut")
TABS = ("watch", "compare", "machine", "start", "logs")
_LISTS = ("methods", "runs", "off", "cut", "beside", "concepts", "then")
ACROSS = ("epoch", "step", "time", "examples")


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
    folder of event files. ``data`` are a person's own, as ``core.data.kept.InHand`` spells them,
    empty those that ship with the model; ``subset`` is the key of the examples picked out;
    ``panel`` is the part of the Layers page, ``statistic`` what colours its layers, ``pair`` two
    classes as ``3-5``, ``other`` a model to compare with, ``cut`` what is switched off as
    ``layer:unit`` or ``layer:`` and ``instead`` what these say then, ``drive`` how units that drive
    an answer are found; ``module`` and ``unit`` are the layer and the unit in hand (-1
    none); ``reducer`` makes the map
    with ``seed`` in ``dims`` dimensions, whose points are coloured by ``tint``, and ringed where
    they have false neighbours unless ``rings`` is ``no``; ``beside`` are layers whose maps stand
    beside it, and ``vectors`` an uploaded file that is mapped instead. ``judged`` is the part of
    the Evaluation page, ``positive`` the class whose curves and rates are shown, from ``threshold``
    percent on, and ``rate`` which of them by the groups of the column ``split``. ``smaller`` is the
    way in which the model is compressed, ``then`` what is done after it, ``shrunk`` the part of
    that page. ``kind`` is
    what the Workspace page lists. ``weighed`` is the part
    of the Importance page, ``weigh`` the way to importance over the data, by the attribution method
    ``explainer``, of columns or (``grouped``) groups of them, ``swarm`` the view beside its bars;
    ``feature`` and ``partner`` are columns in hand, whose curves are of what is ``scored`` and may
    be ``centred``.
    ``compared`` is the part of the Compare page, ``reasoned`` the method by which both models are
    explained there. ``fixed`` are columns that may not change, as a JSON list. ``concepts`` are
    keys of sets of examples, ``moved`` the way in which training examples are found.
    ``brought`` is the SHA-256 of a model's file that waits to be described.
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
    data: str = ""
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
    beside: tuple[str, ...] = ()
    vectors: str = ""
    judged: str = "confusions"
    positive: str = ""
    threshold: int = 50
    split: str = "class"
    rate: str = "right"
    smaller: str = "int8"
    then: tuple[str, ...] = ()
    shrunk: str = "saved"
    kind: str = ""
    weighed: str = "overall"
    fixed: str = ""
    weigh: str = "attribution"
    explainer: str = ""
    grouped: str = ""
    swarm: str = ""
    feature: str = ""
    partner: str = ""
    centred: str = ""
    scored: str = "probability"
    compared: str = "answers"
    reasoned: str = ""
    concepts: tuple[str, ...] = ()
    moved: str = ""
    brought: str = ""

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
            data=one("data"),
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
            vectors=one("vectors"),
            judged=one("judged", JUDGED),
            positive=one("positive"),
            threshold=whole("threshold", 100),
            split=one("split"),
            rate=one("rate"),
            smaller=one("smaller"),
            then=tuple(dict.fromkeys(filter(None, one_list(query, "then")))),
            shrunk=one("shrunk", SHRUNK),
            kind=one("kind"),
            weighed=one("weighed"),
            fixed=one("fixed"),
            weigh=one("weigh"),
            explainer=one("explainer"),
            grouped=one("grouped", ("yes",)),
            swarm=one("swarm"),
            feature=one("feature"),
            partner=one("partner"),
            centred=one("centred", ("yes",)),
            scored=one("scored"),
            compared=one("compared", COMPARED),
            reasoned=one("reasoned"),
            concepts=tuple(dict.fromkeys(filter(None, one_list(query, "concepts")))),
            moved=one("moved", MOVED),
            brought=one("brought"),
            beside=tuple(dict.fromkeys(filter(None, one_list(query, "beside")))),
        )

    def to_query(self) -> dict[str, str | list[str]]:
        """The address of this selection; defaults are left out."""
        query: dict[str, str | list[str]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _LISTS:
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
