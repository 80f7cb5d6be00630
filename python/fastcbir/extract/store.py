"""The user's own models: a folder with NAME.onnx and its card, NAME.json, for each.

They get there by `fastcbir export` (from weights) or by `fastcbir models add` (a ready-made ONNX file). The
card tells the sha256 of the ONNX file; a file that is another is refused. NumPy and the standard library;
onnxruntime when a model is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastcbir.errors import ModelError
from fastcbir.extract.cache import data_folder, file_sha256, write_atomically
from fastcbir.extract.card import Entry, Model, ModelCard, Preprocessing
from fastcbir.extract.onnx_session import OnnxModel
from fastcbir.extract.spec import NAME

__all__ = [
    "card_from",
    "card_path",
    "cards",
    "details",
    "find",
    "model_path",
    "models_folder",
    "put",
    "remove",
]

_FORMAT = 1


def models_folder() -> Path:
    """$FASTCBIR_MODELS, else "models" among the user's application data of fastcbir."""
    override = os.environ.get("FASTCBIR_MODELS")
    return Path(override).expanduser() if override else data_folder() / "models"


def model_path(name: str) -> Path:
    """Where the ONNX file of an added model lies."""
    return models_folder() / f"{name}.onnx"


def card_path(name: str) -> Path:
    """Where the card of an added model lies."""
    return models_folder() / f"{name}.json"


def cards() -> list[ModelCard]:
    """The cards of all added models, by name. One that can't be read is left out; `models verify` tells of
    it."""
    found = []
    for path in sorted(models_folder().glob("*.json")):
        try:
            found.append(_read(path)[0])
        except ModelError:
            continue
    return found


def find(name: str) -> Entry | None:
    """The entry of an added model; None if there is none of that name.

    Raises:
        ModelError: its card is damaged.
    """
    path = card_path(name)
    if NAME.fullmatch(name) is None or not path.is_file():
        return None
    return Entry(_read(path)[0], _open)


def details(name: str) -> dict[str, Any]:
    """What else the card of an added model tells, such as its parity with the reference.

    Raises:
        ModelError: there is no such model, or its card is damaged.
    """
    return _read(card_path(name))[1]


def put(card: ModelCard, onnx: bytes, more: Mapping[str, Any] | None = None) -> ModelCard:
    """Add a model, or put another in its place; returns its card, with the sha256 of `onnx`.

    Raises:
        ModelError: the name can't be one, or the folder can't be written.
    """
    if NAME.fullmatch(card.name) is None:
        raise ModelError(
            f"a model may be called by small letters, digits, dots, dashes and underscores, got {card.name!r}"
        )
    fields = asdict(card) | {"sha256": hashlib.sha256(onnx).hexdigest()}
    text = json.dumps({"fastcbir_card": _FORMAT, "card": fields, "more": dict(more or {})}, indent=1)
    write_atomically(model_path(card.name), onnx)
    # Last: a model is there once its card is.
    write_atomically(card_path(card.name), text.encode())
    return card_from(fields)


def remove(name: str) -> bool:
    """Take a model out; False when there was none."""
    there = card_path(name).exists()
    card_path(name).unlink(missing_ok=True)
    model_path(name).unlink(missing_ok=True)
    return there


def card_from(fields: Mapping[str, Any]) -> ModelCard:
    """A card from what JSON keeps of it; KeyError, TypeError or ValueError if that is none."""
    rule = dict(fields["preprocessing"])
    rule["mean"], rule["std"] = (tuple(float(value) for value in rule[key]) for key in ("mean", "std"))
    own = dict(fields)
    own["preprocessing"] = Preprocessing(**rule)
    own["scales"] = tuple(float(scale) for scale in own.get("scales", (1.0,)))
    return ModelCard(**own)


def _read(path: Path) -> tuple[ModelCard, dict[str, Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["fastcbir_card"] != _FORMAT:
            raise ModelError(f"{path} is of a later version of fastcbir; upgrade to use this model")
        card = card_from(kept["card"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the model card {path} can't be read ({type(error).__name__}: {error}); add the model again"
        ) from error
    if card.name != path.stem:
        raise ModelError(f"the model card {path} is of {card.name!r}; rename it, or add the model again")
    return card, dict(kept.get("more", {}))


def _open(card: ModelCard, provider: str, threads: int | None) -> Model:
    path = model_path(card.name)
    try:
        found = file_sha256(path)
    except OSError as error:
        raise ModelError(f"can't read the model {path}: {error.strerror or error}; add it again") from error
    if found != card.sha256:
        raise ModelError(f"{path} has sha256 {found}, but its card says {card.sha256}: add the model again")
    return OnnxModel(
        path, output=card.output, provider=provider, threads=threads, multiple=card.preprocessing.multiple
    )
