"""Networks of the transformers library, loaded from a folder and wrapped as the adapters ask them.

The library is imported here and in the tokenizer only; it never runs code that comes with a model.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadModel


class _Wrapped(nn.Module):
    """What all have in common: the model itself, and where its token embedding is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def get_input_embeddings(self) -> nn.Module:
        """The part that turns ids of tokens into vectors."""
        found: nn.Module = self.model.get_input_embeddings()
        return found

    @property
    def end(self) -> int | None:
        """The token that ends an output."""
        found: Any = self.model.generation_config.eos_token_id
        first: int | None = found[0] if isinstance(found, list) else found
        return first

    def _generated(self, ids: Tensor, limit: int) -> Tensor:
        pad = self.model.generation_config.pad_token_id
        found: Tensor = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=limit,
            do_sample=False,
            num_beams=1,
            pad_token_id=pad if pad is not None else (self.end or 0),
        )
        return found


class Classifier(_Wrapped):
    """Ids ``[example, token]`` to logits ``[example, class]``."""

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        logits: Tensor = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return logits


class Causal(_Wrapped):
    """Ids ``[example, token]`` to scores ``[example, token, vocabulary]`` of the next token."""

    def forward(self, ids: Tensor) -> Tensor:
        """Scores ``[example, token, vocabulary]`` of the token after each."""
        scores: Tensor = self.model(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
        ).logits
        return scores

    def produce(self, ids: Tensor, limit: int) -> Tensor:
        """What follows, greedily, at most ``limit`` tokens."""
        return self._generated(ids, limit)[:, ids.shape[1] :]


class EncoderDecoder(_Wrapped):
    """Source and target ids to scores ``[example, target token, vocabulary]``."""

    @property
    def start(self) -> int | None:
        """The token that a target begins with."""
        found: int | None = self.model.generation_config.decoder_start_token_id
        if found is None:
            found = self.model.config.decoder_start_token_id
        return found

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Scores ``[example, target token, vocabulary]``."""
        scores: Tensor = self.model(
            input_ids=source,
            attention_mask=torch.ones_like(source),
            decoder_input_ids=target,
            use_cache=False,
        ).logits
        return scores

    def produce(self, ids: Tensor, limit: int) -> Tensor:
        """The target, greedily, at most ``limit`` tokens, without its start."""
        return self._generated(ids, limit)[:, 1:]


class ImageClassifier(nn.Module):
    """Pixels ``[example, channel, row, column]`` to logits ``[example, class]``."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        logits: Tensor = self.model(pixel_values=pixels).logits
        return logits


def classifier(folder: str) -> Classifier:
    """The text classifier saved in ``folder``."""
    model = _loaded(folder, "AutoModelForSequenceClassification")
    # Decoders (their head is called that) answer at the last token that is not padding: here none
    # is, whatever its id.
    if hasattr(model, "score"):
        model.config.get_text_config().pad_token_id = -1
    return Classifier(model)


def causal(folder: str) -> Causal:
    """The causal language model saved in ``folder``."""
    return Causal(_loaded(folder, "AutoModelForCausalLM"))


def encoder_decoder(folder: str) -> EncoderDecoder:
    """The encoder–decoder saved in ``folder``."""
    return EncoderDecoder(_loaded(folder, "AutoModelForSeq2SeqLM"))


def image_classifier(folder: str) -> ImageClassifier:
    """The image classifier saved in ``folder``."""
    return ImageClassifier(_loaded(folder, "AutoModelForImageClassification"))


def _loaded(folder: str, kind: str) -> Any:
    """The model with exactly the weights of its file; ``surplus`` are names of tensors in it that
    are no part of the network.

    Raises ``BadModel`` when some are missing, of another shape or not finite, and when the library
    does not know the architecture.
    """
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, told = getattr(transformers, kind).from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below
                dtype=torch.float32,
            )
    except Exception as error:  # a stranger's folder may break the library in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadModel(
            f"'{Path(folder).name}' cannot be loaded: {reason.rstrip('.')}.",
            "Save it again with a current version of transformers; models that bring code of "
            "their own are not run.",
        ) from error
    faults = [f"missing {name}" for name in sorted(told["missing_keys"])]
    faults += [f"{each[0]} has another shape" for each in told["mismatched_keys"]]
    faults += [
        f"{name} holds NaN or infinite values"
        for name, tensor in model.named_parameters()
        if not bool(torch.isfinite(tensor).all())
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BadModel(
            f"The weights of '{Path(folder).name}' do not fit: {'; '.join(faults[:3])}{more}.",
            "Without them the library would make up random ones. Save the whole model.",
        )
    model.surplus = tuple(sorted(told["unexpected_keys"]))
    return model.eval()
