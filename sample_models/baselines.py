"""What simpler methods reach on the same split: the numbers that a recipe is held against.

    python -m sample_models.baselines [text_rnn] [tabular_mlp] [translator] [sentiment] [tiny_lm]

measures them again and writes them into ``baselines.json``, from which cards take them. Whatever
is tuned is tuned on the validation part; the test part is looked at once. For the small table, both
sides are also cross-validated, because its test part alone is too small to tell.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.table import TableSplit
from core.provenance import sha256
from sample_models.verses import Pair

if TYPE_CHECKING:
    from core.training.trainable import Split

ALL = ("text_rnn", "tabular_mlp", "translator", "sentiment", "tiny_lm")
RECORD = Path(__file__).parent / "baselines.json"
Labelled = tuple[Sequence[str], Sequence[int]]
TREES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.1, "max_iter": 100},
    {"learning_rate": 0.05, "max_iter": 300, "l2_regularization": 1.0},
    {"learning_rate": 0.1, "max_iter": 300, "max_depth": 3},
)


def linear(parts: Mapping[str, Labelled]) -> dict[str, Any]:
    """TF-IDF with a linear support vector machine: words or parts of words, strength of the
    regularisation, each as validation likes it best. Macro-F1 and accuracy on the test part.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import f1_score
    from sklearn.svm import LinearSVC

    best: tuple[float, dict[str, Any]] = (-1.0, {})
    for analyzer, n_grams in (("word", (1, 1)), ("word", (1, 2)), ("char_wb", (2, 5))):
        weigh = TfidfVectorizer(analyzer=analyzer, ngram_range=n_grams, sublinear_tf=True)
        weigh.fit(parts["train"][0])
        values = {name: weigh.transform(texts) for name, (texts, _) in parts.items()}
        for strength in (0.3, 1.0, 3.0, 10.0):
            model = LinearSVC(C=strength, random_state=0)
            model.fit(values["train"], parts["train"][1])
            found = {name: model.predict(values[name]) for name in ("val", "test")}
            score = float(f1_score(parts["val"][1], found["val"], average="macro"))
            if score > best[0]:
                labels = np.asarray(parts["test"][1])
                settings = f"{analyzer} {n_grams[0]}–{n_grams[1]}-grams, C {strength:g}"
                best = (
                    score,
                    {
                        "name": f"TF-IDF and a linear support vector machine ({settings})",
                        "f1_macro": float(f1_score(labels, found["test"], average="macro")),
                        "accuracy": float((labels == found["test"]).mean()),
                    },
                )
    return best[1]


def trees(parts: Mapping[str, TableSplit]) -> dict[str, Any]:
    """Gradient-boosted trees, as validation likes them best: accuracy on the test part."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train, val, test = (parts[name] for name in ("train", "val", "test"))
    models = [
        HistGradientBoostingClassifier(**each, random_state=0).fit(train.values, train.labels)
        for each in TREES
    ]
    best = max(models, key=lambda model: model.score(val.values, val.labels))
    return {
        "name": "Gradient-boosted trees",
        "accuracy": float(best.score(test.values, test.labels)),
    }


def dictionary(parts: Mapping[str, Sequence[Pair]]) -> dict[str, Any]:
    """Every word by its most likely translation: BLEU on the test part of a dictionary learned by
    IBM model 1, and of one that goes by how often words occur together (Dice).
    """
    from sample_models.translation import bleu
    from sample_models.word_dictionary import WordDictionary

    sources, targets = zip(*parts["test"], strict=True)
    learned = WordDictionary(parts["train"])
    plain = learned.by_co_occurrence()
    return {
        "name": "Word by word, by a dictionary learned from the same pairs (IBM model 1)",
        "bleu": bleu([learned.translate(text) for text in sources], targets),
        "bleu_co_occurrence": bleu([learned.translate(text, plain) for text in sources], targets),
    }


def counted(parts: Mapping[str, Sequence[Sequence[int]]], size: int) -> dict[str, Any]:
    """Counting which piece follows which two, smoothed as validation likes it best: perplexity on
    the test part.
    """
    from sample_models.trigrams import Trigrams

    models = [Trigrams(parts["train"], size, discount) for discount in (0.5, 0.6, 0.7, 0.8, 0.9)]
    best = min(models, key=lambda model: model.perplexity(parts["val"]))
    return {
        "name": "3-grams of the same pieces with Kneser–Ney smoothing",
        "perplexity": best.perplexity(parts["test"]),
    }


def cross_validated() -> dict[str, float]:
    """Mean accuracy of the dense network and of the best trees on breast cancer, five-fold, twice.

    The trees are given their best settings in hindsight, the network its recipe's.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import RepeatedStratifiedKFold

    from sample_models.table_data import breast_cancer

    parts = breast_cancer().splits.values()
    values = np.concatenate([part.values for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    folds = list(
        RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0).split(values, labels)
    )
    scores = [
        np.mean(
            [
                HistGradientBoostingClassifier(**each, random_state=0)
                .fit(values[train], labels[train])
                .score(values[test], labels[test])
                for train, test in folds
            ]
        )
        for each in TREES
    ]
    network = [_dense(values, labels, train, test) for train, test in folds]
    return {"tabular_mlp": float(np.mean(network)), "trees": float(max(scores))}


def _dense(values: Any, labels: Any, train: Any, test: Any) -> float:
    """Accuracy of the network of ``tabular_mlp`` with its recipe's settings on one fold."""
    import torch
    from torch.nn import functional as F

    from core.training.config import Config
    from sample_models.tabular_mlp import TabularMLP

    settings = Config.of("tabular_mlp").settings
    epochs, size = int(settings["epochs"]), int(settings["batch_size"])
    mean, std = values[train].mean(axis=0), values[train].std(axis=0)
    inputs = torch.from_numpy((values - mean) / std)
    truth = torch.from_numpy(labels)
    torch.manual_seed(0)
    network = TabularMLP(
        values.shape[1],
        int(labels.max()) + 1,
        int(settings["hidden"]),
        int(settings["layers"]),
        float(settings["dropout"]),
    )
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=float(settings["lr"]),
        weight_decay=float(settings["weight_decay"]),
    )
    updates = epochs * -(-len(train) // size)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    for _ in range(epochs):
        for chosen in torch.from_numpy(train)[torch.randperm(len(train))].split(size):
            optimiser.zero_grad()
            F.cross_entropy(network(inputs[chosen]), truth[chosen]).backward()
            optimiser.step()
            rate.step()
    network.eval()
    with torch.no_grad():
        return float((network(inputs[test]).argmax(dim=1) == truth[test]).float().mean())


def recorded(name: str, splits: Mapping[str, Split]) -> dict[str, Any] | None:
    """What was measured for a recipe on exactly these splits, or None."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    about = found.get(name)
    if about is None or about["splits"] != fingerprint(splits):
        return None
    return {key: value for key, value in about.items() if key != "splits"}


def fingerprint(splits: Mapping[str, Split]) -> str:
    """One SHA-256 for all parts."""
    return sha256(" ".join(splits[name].fingerprint() for name in sorted(splits)).encode())


def measure(name: str) -> dict[str, Any]:
    """The baselines of one recipe on its own data."""
    from core.models.catalogue import resolve
    from core.training.config import Config
    from core.training.recipe import recipe

    trainable = resolve(recipe(name).make)(Config.of(name).settings, None, 0)
    found: dict[str, Any]
    if name in ("text_rnn", "sentiment"):
        found = linear({key: (part.texts, part.labels) for key, part in trainable.splits.items()})
    elif name == "tabular_mlp":
        found = {**trees(trainable.splits), "cross_validated": cross_validated()}
    elif name == "tiny_lm":
        parts = {key: part.pieces for key, part in trainable.splits.items()}
        found = counted(parts, len(trainable.subwords))
    else:
        found = dictionary({key: part.texts for key, part in trainable.splits.items()})
    command = f"python -m sample_models.baselines {name}"
    return {**found, "command": command, "splits": fingerprint(trainable.splits)}


def main(names: Sequence[str]) -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    record |= {name: measure(name) for name in names or ALL}
    text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    RECORD.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
