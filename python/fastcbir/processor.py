"""What of the processor the core makes use of."""

from __future__ import annotations

from fastcbir import _core

__all__ = ["available_isas", "isa"]


def isa() -> str:
    """The instruction set in use: the best that CPU and system allow, or what FASTCBIR_ISA names."""
    return _core.isa()


def available_isas() -> list[str]:
    """The instruction sets that can run here, best first: what FASTCBIR_ISA accepts."""
    return _core.available_isas()
