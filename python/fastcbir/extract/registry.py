"""Every model that can be asked for by name: those that come with fastcbir, one explicit line each, and those
that the user has added (store.py).

To add one for everybody: a file in families/ that ends in an Entry (card + how it is opened), and its line
here; where only its weights are new, a row in zoo.py.
"""

from __future__ import annotations

from dataclasses import replace

from fastcbir.errors import ModelError
from fastcbir.extract import store, zoo
from fastcbir.extract.card import Entry, ModelCard
from fastcbir.extract.families import color_layout, efficientnet_lite
from fastcbir.extract.spec import Spec

__all__ = ["BUILT_IN", "DEFAULT_MODEL", "find", "models", "onnx_of"]

_ENTRIES: tuple[Entry, ...] = (
    efficientnet_lite.ENTRY,
    color_layout.ENTRY,
)

DEFAULT_MODEL = efficientnet_lite.CARD.name
BUILT_IN = tuple(entry.card.name for entry in _ENTRIES)


def models() -> list[ModelCard]:
    """The cards of all models that can be used now: the default first, the user's own last."""
    return [*(entry.card for entry in _ENTRIES), *store.cards()]


def find(name: str) -> Entry:
    """The entry of that name; of a name with a use (spec.py), the entry whose card is for that use.

    Raises:
        ModelError: there is none, and the message lists those that there are; or it can't be used so.
    """
    spec = Spec.parse(name)
    entry = _entry(spec.name)
    try:
        return replace(entry, card=entry.card.used(spec))
    except ValueError as error:
        raise ModelError(f"{name!r}: {error}") from error


def onnx_of(card: ModelCard) -> bytes:
    """The ONNX file of a model that is here.

    Raises:
        ModelError: it has none, for it is computed.
    """
    if card.name == DEFAULT_MODEL:
        return efficientnet_lite.onnx_file()
    path = store.model_path(card.name)
    if not path.is_file():
        raise ModelError(f"{card.name} is computed and has no ONNX file, expected a model that is a network")
    return path.read_bytes()


def _entry(name: str) -> Entry:
    for entry in _ENTRIES:
        if entry.card.name == name:
            return entry
    added = store.find(name)
    if added is not None:
        return added
    known = zoo.find(name)
    if known is not None:
        raise ModelError(
            f"the weights of {name} are not here; run: fastcbir models pull {name} "
            f"(licence: {known.licence}), and then: fastcbir export {name}"
        )
    names = ", ".join(card.name for card in models())
    raise ModelError(f"no model is named {name!r}; expected one of: {names}")
