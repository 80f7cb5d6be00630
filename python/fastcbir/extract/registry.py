"""Every model that can be asked for by name: one explicit line each.

To add one: a file in families/ that ends in an Entry (card + how it is opened), and its line here.
"""

from __future__ import annotations

from fastcbir.errors import ModelError
from fastcbir.extract.card import Entry, ModelCard
from fastcbir.extract.families import color_layout, efficientnet_lite

__all__ = ["DEFAULT_MODEL", "find", "models"]

_ENTRIES: tuple[Entry, ...] = (
    efficientnet_lite.ENTRY,
    color_layout.ENTRY,
)

DEFAULT_MODEL = efficientnet_lite.CARD.name


def models() -> list[ModelCard]:
    """The cards of all models, the default first."""
    return [entry.card for entry in _ENTRIES]


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ModelError: there is none; the message lists those that there are.
    """
    for entry in _ENTRIES:
        if entry.card.name == name:
            return entry
    known = ", ".join(entry.card.name for entry in _ENTRIES)
    raise ModelError(f"no model is named {name!r}; expected one of: {known}")
