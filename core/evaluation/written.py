"""The verb ``evaluate_written``: models that write, by perplexity and, of translators, BLEU."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.activations.shelf import opened
from core.data.dataset import open_dataset
from core.errors import BadInput, NotValid
from core.evaluation.evaluate import provenance
from core.evaluation.metrics import Floats, resampled
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.models.produce import produce
from core.parameters import Parameter, checked
from core.progress import Meter, Quiet
from core.results.evaluation import Measure, Written
from core.tasks import Example, Task

_LIMIT = Parameter("limit", "int", 100, "At most so many texts, evenly spread.", 1, 100_000)
_TRANSLATED = 40  # texts where nobody says how many: each is written anew
_TIMES = 200
_TOGETHER = 32


def evaluate_written(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Written:
    """Perplexity over the continuations that the data of the capture in the folder ``capture`` hold
    and, of a translator, BLEU (Papineni et al. 2002) and chrF (Popović 2015) by sacrebleu of what
    it writes itself, over at most ``limit`` texts.

    Raises ``NotValid`` for a classifier, ``BadInput`` when the data hold no continuations, and as
    ``opened`` does.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    if found.classes:
        raise NotValid(f"'{found.model}' does not write.", "Evaluate it as a classifier.")
    translates = model.card.task is Task.TRANSLATION
    usual = {"limit": _TRANSLATED} if translates else {}
    given = {"limit": parameters["limit"]} if "limit" in parameters else usual
    limit = int(checked((_LIMIT,), given, "evaluate_written")["limit"])
    data = open_dataset(found.data)
    rows = found.data_rows[:: -(-len(found) // limit)]
    several = zip(rows, data.examples(rows.tolist()), strict=True)
    texts = [(row, each) for row, each in several if each.outputs]
    if not texts:
        raise BadInput(
            f"The data '{found.data.name}' hold no continuations to compare with.",
            "Give pairs of texts.",
        )
    meter.expect(len(texts) * (2 if translates else 1), "Texts")
    nats, tokens = _losses(model, [each for _, each in texts], seed, meter)
    weights = resampled(len(texts), _TIMES, seed)
    spread = np.exp((weights @ nats) / (weights @ tokens))
    measures = [
        _measure(
            "perplexity",
            "Perplexity",
            spread,
            "low",
            "As if it chose among so many equally likely tokens; 1 is perfect. Only comparable "
            "between models with the same tokens.",
        )
    ]
    said: list[str] = []
    expected = [each.outputs[0].strip() for _, each in texts]
    if translates:
        for _, each in texts:
            (made,) = produce(model, [Example(each.name, each.data)], {}, seed, Quiet(meter))
            said.append(made.text.strip())
        measures += _overlaps(said, expected, weights)
    order = np.argsort(-nats / tokens, kind="stable")
    return Written(
        found.model,
        found.data.name,
        len(texts),
        tuple(measures),
        np.array([texts[place][0] for place in order], np.int64),
        (nats / tokens)[order],
        tuple(expected[place] for place in order),
        tuple(said[place] for place in order) if said else (),
        provenance(model, found, "evaluate_written", {"limit": limit}, seed, started),
    )


def _losses(
    model: LoadedModel, texts: Sequence[Example], seed: int, meter: Meter
) -> tuple[Floats, Floats]:
    """Nats and number of tokens of each continuation, float64 ``[text]``."""
    nats, tokens = [], []
    for start in range(0, len(texts), _TOGETHER):
        several = [
            Example(each.name, each.data, each.outputs[:1])
            for each in texts[start : start + _TOGETHER]
        ]
        for answer in predict(model, several, {}, seed, Quiet(meter)):
            nats.append(-float(answer.logits[-1]))  # the whole output comes last
            tokens.append(max(1, len(answer.classes) - 1))
    return np.array(nats), np.array(tokens, np.float64)


def _overlaps(said: Sequence[str], expected: Sequence[str], weights: Floats) -> list[Measure]:
    import sacrebleu

    found: dict[str, list[float]] = {}
    for name, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
        # as its own bootstrap does, which tells no percentiles: each text is counted once
        counts = metric._extract_corpus_statistics(said, [expected])
        found[name] = [
            metric._aggregate_and_compute(
                [counts[p] for p in np.flatnonzero(drawn).repeat(drawn[drawn > 0])]
            ).score
            for drawn in weights.astype(np.int64)
        ]
    about = "0 to 100: how many runs of {} a translation shares with the one expected."
    return [
        _measure("bleu", "BLEU", np.array(found["bleu"]), "high", about.format("words")),
        _measure("chrf", "chrF", np.array(found["chrf"]), "high", about.format("letters")),
    ]


def _measure(name: str, title: str, values: Floats, good: Any, about: str) -> Measure:
    low, high = (float(each) for each in np.nanpercentile(values[1:], (2.5, 97.5)))
    return Measure(name, title, float(values[0]), low, high, good, about)
