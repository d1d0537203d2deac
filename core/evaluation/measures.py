"""The measures of a classifier, declared: what each means and which way is good."""

from __future__ import annotations

from typing import Literal

from core.results.evaluation import Measure


def _declared(name: str, title: str, about: str, good: Literal["high", "low"] = "high") -> Measure:
    return Measure(name, title, float("nan"), good=good, about=about)


MEASURES = (
    _declared("accuracy", "Accuracy", "The share that is right."),
    _declared(
        "f1_macro",
        "F1, mean of classes",
        "The harmonic mean of precision and recall; each class counts alike.",
    ),
    _declared("f1_weighted", "F1, weighted", "Each class counts as often as it is there."),
    _declared(
        "precision_macro", "Precision, mean of classes", "Of those called a class, how many are."
    ),
    _declared(
        "precision_weighted", "Precision, weighted", "Each class counts as often as it is there."
    ),
    _declared(
        "recall_macro", "Recall, mean of classes", "Of those that are a class, how many are found."
    ),
    _declared(
        "recall_weighted",
        "Recall, weighted",
        "Each class counts as often as it is there: the same as accuracy.",
    ),
    _declared("top3", "Right among the first 3", "The true class is one of the three likeliest."),
    _declared("top5", "Right among the first 5", "The true class is one of the five likeliest."),
    _declared(
        "auc",
        "Area under ROC",
        "The chance that a member of a class scores higher for it than another example does, mean "
        "of classes; 0.5 is guessing.",
    ),
    _declared(
        "log_loss",
        "Log loss",
        "Nats. Giving every class the same probability has the logarithm of their number.",
        "low",
    ),
    _declared(
        "brier",
        "Brier score",
        "Squared distance of the probabilities from the truth, from 0 to 2.",
        "low",
    ),
    _declared(
        "ece",
        "Calibration error",
        "How far confidence lies from the share that is right, in 15 bins; below 0.05 is good "
        "(Guo et al. 2017, arXiv 1706.04599).",
        "low",
    ),
)
