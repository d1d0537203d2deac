"""Recipes that learn from texts, as declarations: nothing here imports torch."""

from __future__ import annotations

from core.parameters import Parameter
from core.tasks import Task
from core.training.recipe import Recipe

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="text_rnn",
        title="Software in five topics (recurrent network)",
        summary=(
            "Says from one line of description whether a piece of software is about games, "
            "science, sound, graphics or the network. It knows nothing else: every line gets one "
            "of the five, in English only."
        ),
        teaches=(
            "How a recurrent network learns from a few thousand short texts: what it gains from "
            "word vectors learned without labels, and how RNN, LSTM and GRU differ."
        ),
        reaches="within 2 points of macro-F1 of tuned TF-IDF with a linear classifier",
        task=Task.TEXT_CLASSIFICATION,
        data_kind="texts",
        make="sample_models.text_training:make",
        factory="sample_models.text_rnn:TextRNN",
        tokenizer="sample_models.tokenizers:words",
        parameters=(
            Parameter(
                "cell",
                "choice",
                "gru",
                "The recurrent unit.",
                choices=("rnn", "lstm", "gru"),
            ),
            Parameter("vocabulary", "int", 10_000, "Words known.", 10, 1_000_000),
            Parameter("width", "int", 100, "Numbers per word.", 1, 10_000),
            Parameter("hidden", "int", 64, "Units per direction.", 1, 10_000),
            Parameter("dropout", "float", 0.5, "Share of units left out of each update.", 0, 0.95),
            Parameter("word_dropout", "float", 0.2, "Share of words left out.", 0, 0.95),
            Parameter(
                "pretrain",
                "bool",
                True,
                "Begin with word vectors learned from descriptions without labels.",
            ),
        ),
        defaults={
            "epochs": 14,
            "batch_size": 64,
            "lr": 4e-3,
            "weight_decay": 1e-2,
            "schedule": "one_cycle",
        },
        sweep={"cell": ("rnn", "lstm", "gru")},
    ),
    Recipe(
        name="sentiment",
        title="Good words and bad ones (Transformer)",
        summary=(
            "Says whether an English sentence speaks well or ill of something, or neither, learned "
            "from rated sentences of reviews, editorials and tweets. Irony and long texts are "
            "beyond it."
        ),
        teaches=(
            "How a small Transformer learns from a few thousand sentences, how soon it learns them "
            "by heart, and what dropout does against it."
        ),
        reaches="a macro-F1 of 0.66; tuned TF-IDF with a linear classifier reaches 0.68",
        task=Task.TEXT_CLASSIFICATION,
        data_kind="texts",
        make="sample_models.sentiment_training:make",
        factory="sample_models.sentiment:Sentiment",
        tokenizer="sample_models.tokenizers:subwords",
        parameters=(
            Parameter("vocabulary", "int", 6_000, "Pieces of words known.", 50, 1_000_000),
            Parameter("width", "int", 128, "Numbers per piece; heads divide it.", 2, 10_000),
            Parameter("layers", "int", 2, "Layers of the encoder.", 1, 100),
            Parameter("heads", "int", 4, "Attention heads of each layer.", 1, 100),
            Parameter("hidden", "int", 256, "Units of each layer's dense part.", 1, 100_000),
            Parameter("dropout", "float", 0.3, "Share of units left out of each update.", 0, 0.95),
            Parameter("word_dropout", "float", 0.2, "Share of pieces left out.", 0, 0.95),
            Parameter(
                "pretrain",
                "bool",
                True,
                "Begin with vectors of pieces learned from the sentences without their ratings.",
            ),
        ),
        defaults={
            "epochs": 4,
            "batch_size": 64,
            "lr": 1.5e-3,
            "weight_decay": 5e-2,
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "gradient_clip": 1.0,
        },
    ),
    Recipe(
        name="translator",
        title="English to Spanish (Transformer)",
        summary=(
            "Translates short English sentences into the Spanish of a Bible of 1909, from some "
            "16,000 verses. It knows biblical words and turns of phrase; of everyday or modern "
            "language it makes verses, fluent and often wrong. Names and words never seen are "
            "spelt from pieces."
        ),
        teaches=(
            "How encoder and decoder learn to translate, and how cross attention becomes an "
            "alignment of words."
        ),
        reaches=(
            "12 BLEU on held-out verses, and with a beam of 4 twice what a word-by-word dictionary "
            "learned from the same data gets"
        ),
        task=Task.TRANSLATION,
        data_kind="sentence pairs",
        make="sample_models.translation:make",
        factory="sample_models.translator:Translator",
        tokenizer="sample_models.tokenizers:subwords",
        parameters=(
            Parameter("vocabulary", "int", 4_000, "Pieces of words known.", 50, 1_000_000),
            Parameter("width", "int", 192, "Numbers per piece; heads divide it.", 2, 10_000),
            Parameter("layers", "int", 3, "Layers of encoder and of decoder.", 1, 100),
            Parameter("heads", "int", 4, "Attention heads of each layer.", 1, 100),
            Parameter("hidden", "int", 512, "Units of each layer's dense part.", 1, 100_000),
            Parameter("dropout", "float", 0.2, "Share of units left out of each update.", 0, 0.95),
            Parameter(
                "guide",
                "float",
                0.3,
                "Weight of drawing one attention head towards a learned dictionary's alignment.",
                0,
                100,
            ),
        ),
        defaults={
            "epochs": 20,
            "batch_size": 64,
            "lr": 2e-3,
            "weight_decay": 1e-2,
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "gradient_clip": 1.0,
        },
    ),
    Recipe(
        name="tiny_lm",
        title="A verse, word by word (language model)",
        summary=(
            "Continues an English text in the language of a Bible translation, piece of word by "
            "piece of word, learned from some 16,000 verses. It knows how verses sound and little "
            "of what they say."
        ),
        teaches=(
            "How a language model learns first which pieces are frequent, then which follow each "
            "other, then to look further back."
        ),
        reaches="a lower perplexity than a smoothed 3-gram model of the same pieces",
        task=Task.CAUSAL_LANGUAGE_MODEL,
        data_kind="texts",
        make="sample_models.tiny_lm_training:make",
        factory="sample_models.tiny_lm:TinyLM",
        tokenizer="sample_models.tokenizers:subwords",
        parameters=(
            Parameter("vocabulary", "int", 3_000, "Pieces of words known.", 50, 1_000_000),
            Parameter("width", "int", 128, "Numbers per piece; heads divide it.", 2, 10_000),
            Parameter("layers", "int", 3, "Layers.", 1, 100),
            Parameter("heads", "int", 4, "Attention heads of each layer.", 1, 100),
            Parameter("hidden", "int", 384, "Units of each layer's dense part.", 1, 100_000),
            Parameter("dropout", "float", 0.1, "Share of units left out of each update.", 0, 0.95),
        ),
        defaults={
            "epochs": 10,
            "batch_size": 64,
            "lr": 3e-3,
            "weight_decay": 1e-2,
            "schedule": "one_cycle",
            "gradient_clip": 1.0,
        },
    ),
)
