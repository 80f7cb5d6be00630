"""Text to vectors that can be compared with photos: the text half of CLIP and SigLIP.

Beside NAME.onnx lie NAME.text.onnx and NAME.tokenizer.json; the card tells how many tokens the network takes
and which one fills up. onnxruntime and tokenizers are imported when an encoder is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.extract import store
from fastcbir.extract.card import ModelCard
from fastcbir.extract.onnx_session import open_session
from fastcbir.extract.pooling import l2_normalised

__all__ = ["TextEncoder"]

_BATCH = 64


class TextEncoder:
    """The text half of a model.

    Args:
        card: of the model.
        provider, threads: as for load_extractor().

    Raises:
        ModelError: the model has no text half, or its files are damaged.
        MissingExtraError: tokenizers or onnxruntime is not installed.
    """

    def __init__(self, card: ModelCard, provider: str = "cpu", threads: int | None = None) -> None:
        tokens = store.models_folder() / f"{card.name}.tokenizer.json"
        network = store.models_folder() / f"{card.name}.text.onnx"
        about = store.details(card.name).get("text") if store.card_path(card.name).is_file() else None
        if about is None or not network.is_file() or not tokens.is_file():
            raise ModelError(
                f"{card.name} knows no text; models that do are clip-vit-b-32 and siglip-b-16: run "
                "fastcbir models pull and fastcbir export"
            )
        library = require("tokenizers", "text", "searching with text")
        try:
            self._tokenizer: Any = library.Tokenizer.from_file(str(tokens))
        except Exception as error:  # the library's exceptions share no base class of their own
            raise ModelError(f"the tokenizer {tokens} can't be read: {error}") from error
        self._tokenizer.enable_truncation(about["length"])
        self._tokenizer.enable_padding(length=about["length"], pad_id=about["pad"])
        self._session: Any = open_session(network, provider, threads)
        self._dim = card.dim

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, dim) float32 of length 1, one row for each text. What is too long is cut.

        Raises:
            ValueError: an empty text, or something else than text.
        """
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"text {number}: expected words, got {text!r}")
        found = np.empty((len(texts), self._dim), np.float32)
        for start in range(0, len(texts), _BATCH):
            some = list(texts[start : start + _BATCH])
            ids = np.array([each.ids for each in self._tokenizer.encode_batch(some)], np.int64)
            vectors = self._session.run(["embedding"], {"ids": ids})[0]
            found[start : start + len(some)] = l2_normalised(np.asarray(vectors, np.float32))
        return found
