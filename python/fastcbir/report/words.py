"""Numbers in words, for people. Standard library only."""

from __future__ import annotations

__all__ = ["percent", "size"]


def percent(share: float) -> str:
    """0.987 -> "98.7 %"."""
    return f"{100 * share:.1f} %"


def size(count: float) -> str:
    """Bytes for people: "1.3 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
