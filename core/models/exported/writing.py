"""Programs that write: encoder–decoders, which take a text and what was written so far.

``decoder_input_ids`` beside ``input_ids`` (or ``tgt`` beside ``src``) is what a model was given of
its own output: it begins with one token, which a person says or the tokenizer's padding is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadModel
from core.models.card import ModelCard
from core.models.embedded import embeddings_of
from core.models.exported.tokens import ending
from core.models.sequence import TranslationAdapter
from core.models.sequence import translation as usual
from core.models.text import tokenizer_of

_FOLDER = "Give an encoder–decoder as the folder that save_pretrained(folder) writes."
_CLOSE = 1e-4


def translation(about: ModelCard, module: nn.Module) -> TranslationAdapter:
    """The adapter of an encoder–decoder's card; the tokenizer says what ends an output."""
    setattr(module, "end", ending(tokenizer_of(about)))  # noqa: B010 - its type knows of none
    return usual(about, module)


def tried(module: Any, source: Tensor, run: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check that a program can be asked as one that writes: each token is scored by what stands
    before it, and embeddings of both texts are looked up in one table, the source first.

    ``source`` are ids ``[example, token]``; ``run`` calls the program with them and with what was
    written. Raises ``BadModel``.
    """
    name, start, most = module.usage.written, module.usage.start, module.usage.most
    rows = module.rows(name)
    shape = (len(source), min(3, most or 3))
    said = torch.full(shape, start, dtype=torch.int64)
    said[:, 1:] = (start + 1) % max(2, rows)
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_hook(lambda part, given, answer: seen.append(given[0]))
        for part in embeddings_of(module)
    ]
    try:
        answers = run(source, said)
    finally:
        for hook in hooks:
            hook.remove()
    if answers.ndim != 3 or answers.shape[1] != shape[1]:
        raise BadModel(
            f"The program takes '{name}', and does not answer with scores of the token after each "
            "of it.",
            "Export a module whose forward returns logits [example, token, vocabulary].",
        )
    alone = run(source, said[:, :1])
    if not torch.allclose(answers[:, :1], alone, rtol=_CLOSE, atol=_CLOSE):
        raise BadModel(
            f"What the program says to the first token of '{name}' depends on the later ones.",
            "A decoder has to look back only.",
        )
    lengths = [source.shape, said.shape if not most else (len(source), most)]
    if [each.shape for each in seen] != lengths or not torch.equal(seen[0], source):
        raise BadModel(
            "The program does not look up its text and then "
            f"'{name}' in one table of embeddings, so that neither could be followed.",
            f"Share one nn.Embedding between encoder and decoder. {_FOLDER}",
        )
