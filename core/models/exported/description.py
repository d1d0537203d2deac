"""What a model is for: the card that travels in its file, lies beside it, or is asked for.

    {"title": "Ships and planes", "task": "image-classification", "classes": ["ship", "plane"],
     "preprocessing": {"height": 224, "width": 224, "mean": [0.5], "std": [0.5], "fit": "cover"}}

Imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import BadModel, shortened
from core.models.exported import choice, held
from core.tasks import Task

TASKS = (
    Task.IMAGE_CLASSIFICATION,
    Task.TEXT_CLASSIFICATION,
    Task.TABULAR_CLASSIFICATION,
    Task.CAUSAL_LANGUAGE_MODEL,
    Task.TRANSLATION,
)
WRITING = (Task.CAUSAL_LANGUAGE_MODEL, Task.TRANSLATION)
_MOST_CLASSES = 100_000
_LARGEST_SIDE = 4096
_NEXT = "Correct the card, or say it again with --task, --classes and --set."


@dataclass(frozen=True)
class Description:
    """All of it may be left out; what the file itself does not tell is then asked for.

    ``preprocessing`` is that of a card: of images ``height``, ``width``, ``channels``, ``mean``,
    ``std``, ``fit``, of tables ``features``. ``tokenizer`` is ``{"json": …}`` as the tokenizers
    library saves it, or ``{"words": […]}``. ``independent`` classes are judged one by one.
    ``architecture`` is what weights alone belong to (``core.models.formats.architecture``).
    ``look_into`` names the inputs that are looked into (``core.models.exported.choice``), ``held``
    are the values of the others (``core.models.exported.held``).
    """

    title: str = ""
    task: Task | None = None
    classes: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    independent: bool = False
    architecture: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    look_into: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Description:
        """From JSON; nothing is empty. Raises ``BadModel``."""
        if not text.strip():
            return cls()
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise BadModel("The card of the model is no JSON.", _NEXT) from None
        if not isinstance(raw, dict):
            raise BadModel("The card of the model is no JSON object.", _NEXT)
        if isinstance(raw.get("architecture"), str):
            raw["architecture"] = {"name": raw["architecture"]}
        kept = ("preprocessing", "tokenizer", "architecture", "held")
        parts = {name: raw.get(name) or {} for name in kept}
        for name, value in parts.items():
            if not isinstance(value, dict):
                raise BadModel(f"The card's '{name}' is no JSON object.", _NEXT)
        return cls(
            title=shortened(_line(raw.get("title", ""))),
            task=_task(raw["task"]) if raw.get("task") else None,
            classes=_classes(raw.get("classes") or ()),
            preprocessing=parts["preprocessing"],
            tokenizer=parts["tokenizer"],
            summary=shortened(_line(raw.get("summary", "")), 2000),
            independent=raw.get("independent") is True,
            architecture=parts["architecture"],
            held={_line(name): held.values(value) for name, value in parts["held"].items()},
            look_into=choice.names(raw.get("look_into") or ()),
        )

    def written(self) -> str:
        """As JSON."""
        about = {
            "title": self.title,
            "task": None if self.task is None else self.task.value,
            "classes": list(self.classes),
            "preprocessing": dict(self.preprocessing),
            "tokenizer": dict(self.tokenizer),
            "summary": self.summary,
            "independent": self.independent,
            "architecture": dict(self.architecture),
            "held": dict(self.held),
            "look_into": list(self.look_into),
        }
        return json.dumps({name: value for name, value in about.items() if value})

    def over(self, other: Description) -> Description:
        """``other`` where this says nothing."""
        return replace(
            self,
            title=self.title or other.title,
            task=self.task or other.task,
            classes=self.classes or other.classes,
            preprocessing={**other.preprocessing, **self.preprocessing},
            tokenizer=self.tokenizer or other.tokenizer,
            summary=self.summary or other.summary,
            independent=self.independent or other.independent,
            architecture=self.architecture or other.architecture,
            held={**other.held, **self.held},
            look_into=self.look_into or other.look_into,
        )


def completed(said: Description, found: Mapping[str, Any]) -> tuple[Description, tuple[str, ...]]:
    """With what the program itself tells (``trial.tried``), and notes on what had to be assumed.

    Raises ``BadModel`` when the two contradict each other, or when something is missing that
    cannot be assumed: it says what, and how to say it.
    """
    first = found["inputs"][0]
    task = said.task or guessed(found)
    if task is None:
        raise BadModel(
            f"What the model is for cannot be told from its input {_shape(first)}.",
            f"Say it: --task {' or --task '.join(each.value for each in TASKS)}.",
        )
    notes = [] if said.task else [f"taken to be a model for {task.value.replace('-', ' ')}"]
    answer = list(found["answer"])
    wanted = 2 if task in WRITING else 1
    if (task is Task.TRANSLATION) != bool(held.written(found)):
        raise BadModel(
            "A model that answers a text with a text takes the text and what was written so far, "
            f"and is for translation; this one takes {' and '.join(map(_shape, found['inputs']))}.",
            "Choose another --task.",
        )
    if len(answer) != wanted:
        raise BadModel(
            f"The program answers with {answer} numbers per example, which is no {task.value}.",
            "Expected logits [example, class]; of a language model [example, token, vocabulary].",
        )
    classes = said.classes
    if task in WRITING:
        classes = ()
    elif answer[0] < 2:
        raise BadModel(
            "The program answers with one number, not with classes.",
            "Export a classifier of at least two classes.",
        )
    elif not classes:
        classes = tuple(f"class {index}" for index in range(answer[0]))
        notes.append(f"its {answer[0]} classes have no names")
    elif len(classes) != answer[0]:
        raise BadModel(
            f"There are {len(classes)} names of classes, and the network has {answer[0]} outputs.",
            "Name every output, in their order.",
        )
    preprocessing: Mapping[str, Any] = said.preprocessing
    if task is Task.IMAGE_CLASSIFICATION:
        preprocessing, more = _pictures(said.preprocessing, first)
        notes += more
    elif task is Task.TABULAR_CLASSIFICATION:
        preprocessing, more = _columns(said.preprocessing, found)
        notes += more
    elif not said.tokenizer:
        raise BadModel(
            "A model for texts needs the tokenizer that it was trained with, and none came along.",
            "Give its tokenizer.json, or make the file with core.pack(…, tokenizer=…).",
        )
    kept = held.settled({**_start(said, found), **said.held}, found)
    if kept:
        notes.append(held.sentence(found, kept)[:-1])
    made = replace(said, task=task, classes=classes, preprocessing=preprocessing, held=kept)
    return made, tuple(notes)


def _start(said: Description, found: Mapping[str, Any]) -> dict[str, int]:
    """What an output begins with, where nothing is said: the tokenizer's padding, as usual."""
    name = held.written(found)
    if not name or name in said.held or not said.tokenizer:
        return {}
    wanted = (said.tokenizer.get("pad"), "<pad>", "[PAD]")
    places = (token(said.tokenizer, each) for each in wanted if isinstance(each, str))
    return {name: next((each for each in places if each is not None), 0)}


def token(tokenizer: Mapping[str, Any], name: str) -> int | None:
    """The number of a token by its name, as a card's tokenizer has it; None where it has none."""
    words = tokenizer.get("words")
    if isinstance(words, list):
        return words.index(name) if name in words else None
    try:
        content = tokenizer["json"]
        raw = json.loads(content) if isinstance(content, str) else content
        known = {each["content"]: each["id"] for each in raw.get("added_tokens", ())}
        vocabulary = raw["model"].get("vocab", {})
        if isinstance(vocabulary, dict):
            known = {**vocabulary, **known}
        place = known.get(name)
        return place if type(place) is int else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def guessed(found: Mapping[str, Any]) -> Task | None:
    """What a program is for, by the shapes of its input and output."""
    if held.written(found):
        return Task.TRANSLATION
    first = found["inputs"][0]
    numbers = first["dtype"].startswith(("float", "bfloat"))
    if numbers and len(first["least"]) == 4 and first["least"][1] in (1, 3):
        return Task.IMAGE_CLASSIFICATION
    if numbers and len(first["least"]) == 2:
        return Task.TABULAR_CLASSIFICATION
    if not numbers and len(first["least"]) == 2:
        several = len(found["answer"]) == 2
        return Task.CAUSAL_LANGUAGE_MODEL if several else Task.TEXT_CLASSIFICATION
    return None


def _shape(given: Mapping[str, Any]) -> str:
    sizes = [
        str(least) if least == most else "any"
        for least, most in zip(given["least"], given["most"], strict=True)
    ]
    return f"'{given['name']}', {given['dtype']} [{', '.join(sizes)}]"


def _pictures(
    said: Mapping[str, Any], first: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    if len(first["least"]) != 4:
        raise BadModel(
            f"A model for images takes [example, channel, row, column], this one {_shape(first)}.",
            "Choose another --task.",
        )
    notes = []
    sides = {}
    for place, name in ((1, "channels"), (2, "height"), (3, "width")):
        fixed = first["least"][place] if first["least"][place] == first["most"][place] else 0
        given = said.get(name, 3 if name == "channels" else 224)
        if type(given) is not int or not 0 < given <= _LARGEST_SIDE:
            raise BadModel(f"The card's {name} is {shortened(repr(given), 40)}.", _NEXT)
        if fixed and name in said and given != fixed:
            raise BadModel(f"The card says {given} {name}, the program takes {fixed}.", _NEXT)
        if not fixed and name not in said:
            notes.append(f"{name} taken to be {given}")
        sides[name] = fixed or given
    numbers = {}
    for name, usual in (("mean", 0.0), ("std", 1.0)):
        values = _numbers(said.get(name, [usual]), name)
        if len(values) not in (1, sides["channels"]):
            raise BadModel(
                f"The card's {name} has {len(values)} numbers for {sides['channels']} channels.",
                _NEXT,
            )
        numbers[name] = values * sides["channels"] if len(values) == 1 else values
    if "mean" not in said or "std" not in said:
        notes.append("pixels taken to be 0 to 1, without mean and std")
    if min(numbers["std"]) <= 0:
        raise BadModel("The card's std is not above 0.", _NEXT)
    fit = said.get("fit", "cover")
    if fit not in ("cover", "glyph"):
        raise BadModel(f"The card's fit is {shortened(repr(fit), 40)}.", "Expected cover or glyph.")
    box = said.get("box")
    return {**sides, **numbers, "fit": fit, "box": box if type(box) is int else None}, notes


def _numbers(value: Any, name: str) -> list[float]:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(type(each) in (int, float) and math.isfinite(each) for each in values) or not values:
        raise BadModel(f"The card's {name} is {shortened(repr(value), 60)}, no numbers.", _NEXT)
    return [float(each) for each in values]


def _columns(said: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    width = sum(found["widths"]) or found["inputs"][0]["least"][-1]
    features = said.get("features")
    if features is None:
        made = [_feature({"name": f"input {index + 1}"}) for index in range(width)]
        return {"features": made}, [f"its {width} columns have no names and are not scaled"]
    if not isinstance(features, list):
        raise BadModel("The card's features are no list.", _NEXT)
    made = [_feature(each) for each in features]
    inputs = sum(len(each["categories"]) or 1 + each["indicator"] for each in made)
    if inputs != width:
        raise BadModel(
            f"The card's columns become {inputs} inputs, and the network takes {width}.", _NEXT
        )
    return {**said, "features": made}, []


def _feature(raw: Any) -> dict[str, Any]:
    about = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(about, dict) or not isinstance(about.get("name"), str) or not about["name"]:
        raise BadModel("A column of the card has no name.", _NEXT)
    categories = about.get("categories", ())
    (mean,), (std,) = (_numbers(about.get(k, v), k)[:1] for k, v in (("mean", 0.0), ("std", 1.0)))
    if not isinstance(categories, (list, tuple)) or std <= 0:
        raise BadModel(f"The column '{shortened(about['name'], 40)}' is described wrongly.", _NEXT)
    return {
        "name": _line(about["name"])[:200],
        "categories": [_line(each)[:200] for each in categories],
        "mean": mean,
        "std": std,
        "indicator": about.get("indicator") is True,
        "frequencies": [],
    }


def _task(value: Any) -> Task:
    known = [each.value for each in TASKS]
    if value not in known:
        raise BadModel(
            f"'{shortened(str(value), 60)}' is no task that can be asked here.",
            f"Expected {', '.join(known)}.",
        )
    return Task(value)


def _classes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > _MOST_CLASSES:
        raise BadModel("The card's classes are no list of names.", _NEXT)
    names = tuple(_line(each)[:200] or f"class {place}" for place, each in enumerate(value))
    if len(set(names)) != len(names):
        raise BadModel("Two classes of the card have one name.", "Give each a name of its own.")
    return names


def _line(value: Any) -> str:
    """A text that fits on a line, without characters that cannot be seen."""
    return "".join(each if each.isprintable() else " " for each in str(value)).strip()
