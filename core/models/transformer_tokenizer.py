"""Tokenizers of the transformers library, with the place of each token in the text."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any

from core.errors import BadModel, shortened
from core.models.alignment import aligned
from core.models.card import ModelCard
from core.models.tokenizer import Encoded

_ENDLESS = 10**6  # what the library says when it knows no bound
_AFTER_PADDING = {  # their positions are counted from the padding token's id
    "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


class TransformerTokenizer:
    """A tokenizer of the library, used by one thread at a time: it is not safe otherwise.

    Fast ones say where their tokens are; for the others it is found by what the tokens spell.
    """

    def __init__(self, tokenizer: Any, longest: int | None) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        bounds = [b for b in (longest, tokenizer.model_max_length) if b and b < _ENDLESS]
        self.limit: int | None = min(bounds, default=None)
        ending = tokenizer.eos_token_id  # models without padding pad with it
        self.pad: int | None = ending if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.mask: int | None = tokenizer.mask_token_id
        self.end: int | None = ending

    def encode(self, text: str) -> Encoded:
        """All tokens of a text, never cut, with the special ones that the model expects."""
        fast = self._tokenizer.is_fast
        with self._lock:
            try:
                found = self._tokenizer(
                    text,
                    truncation=False,
                    return_offsets_mapping=fast,
                    return_special_tokens_mask=True,
                    verbose=False,
                )
            except BaseException as error:
                if type(error).__name__ != "PanicException":
                    raise
                raise BadModel(  # of a library in Rust, and no Exception
                    f"The tokenizer gives up on a text of {len(text):,} characters: "
                    f"{shortened(error, 120).rstrip('.')}.",
                    "One of the patterns in its tokenizer.json tries the same again and again.",
                ) from None
            names = self._tokenizer.convert_ids_to_tokens(found["input_ids"])
            spelt = [] if fast else self._tokenizer.tokenize(text)
        special = tuple(bool(each) for each in found["special_tokens_mask"])
        places = found["offset_mapping"] if fast else _placed(text, spelt, special)
        spans: list[tuple[int, int]] = []
        for (start, end), own in zip(places, special, strict=True):
            reached = spans[-1][1] if spans else 0
            spans.append((reached, reached) if own else (start, end))
        return Encoded(
            ids=tuple(found["input_ids"]),
            spans=tuple(spans),
            special=special,
            pieces=tuple(
                name if own else text[start:end].strip() or "␣"
                for name, own, (start, end) in zip(names, special, spans, strict=True)
            ),
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text that tokens spell, without special ones."""
        with self._lock:
            text: str = self._tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return text


def of(about: ModelCard) -> TransformerTokenizer:
    """The tokenizer in a model's folder.

    Raises ``BadModel`` when it cannot be read or knows more tokens than the model.
    """
    import transformers

    folder = str(about.folder)  # also of a model that was made smaller
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # a stranger's folder may break the library in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadModel(
            f"The tokenizer of '{about.title}' cannot be read: {reason.rstrip('.')}.",
            "Save it again with tokenizer.save_pretrained(folder).",
        ) from error
    rows = getattr(config.get_text_config(), "vocab_size", None)
    known = max(len(found), 1 + max(found.get_vocab().values(), default=-1))
    if rows is not None and known > rows:
        raise BadModel(
            f"The tokenizer of '{about.title}' does not fit the model: it knows {known:,} tokens, "
            f"the model {rows:,}.",
            "Use the tokenizer that the model was trained with.",
        )
    return TransformerTokenizer(found, longest(config))


def longest(config: Any) -> int | None:
    """The most tokens that a configuration has positions for; None where it does not say."""
    found = next(
        (
            value
            for name in ("max_position_embeddings", "n_positions", "max_source_positions")
            if isinstance(value := getattr(config, name, None), int) and value > 0
        ),
        None,
    )
    if found is not None and config.model_type in _AFTER_PADDING:
        found -= (config.pad_token_id or 0) + 1
    return found


def _placed(text: str, spelt: Sequence[str], special: Sequence[bool]) -> list[tuple[int, int]]:
    """Characters of each token, given what those that are not special spell."""
    spans = iter(aligned(text, spelt))
    return [(0, 0) if own else next(spans, (len(text), len(text))) for own in special]
