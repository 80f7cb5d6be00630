"""A model and how it is used, in one word: NAME[@SIZE][+POOLING][*SCALE,SCALE...].

"efficientnet-lite0@448+gem3*1,0.707": longest side 448 pixels, generalised-mean pooling with power 3, and the
mean of two scales. The same word stands in albums and on the command line. NumPy alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastcbir.errors import ModelError
from fastcbir.extract.pooling import Pooling

__all__ = ["NAME", "Spec"]

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?")
"""What a model may be called."""

_SPEC = re.compile(
    r"(?P<name>[^@+*/]+)(?:@(?P<size>\d+))?(?:\+(?P<pool>[^@+*/]+))?(?:\*(?P<scales>[^@+*/]+))?"
)
_MAX_SCALES = 8


@dataclass(frozen=True)
class Spec:
    """Attributes: name of the model; size: longest side in pixels, None for the card's; pool: None for the
    model's own vector; scales: of that size, of which the vectors are averaged."""

    name: str
    size: int | None = None
    pool: Pooling | None = None
    scales: tuple[float, ...] = (1.0,)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Raises ModelError with what is wrong in the text."""
        found = _SPEC.fullmatch(text)
        if found is None:
            raise ModelError(f"expected a model as NAME[@SIZE][+POOLING][*SCALE,SCALE...], got {text!r}")
        try:
            pool = Pooling.parse(found["pool"]) if found["pool"] else None
            scales = tuple(float(each) for each in found["scales"].split(",")) if found["scales"] else (1.0,)
        except ValueError as error:
            raise ModelError(f"{text!r}: {error}") from error
        if not 1 <= len(scales) <= _MAX_SCALES or not all(0.25 <= scale <= 2 for scale in scales):
            raise ModelError(f"{text!r}: expected 1 to {_MAX_SCALES} scales from 0.25 to 2, got {scales}")
        return cls(found["name"], int(found["size"]) if found["size"] else None, pool, scales)

    def __str__(self) -> str:
        size = "" if self.size is None else f"@{self.size}"
        pool = "" if self.pool is None else f"+{self.pool}"
        scales = "" if self.scales == (1.0,) else "*" + ",".join(f"{scale:g}" for scale in self.scales)
        return f"{self.name}{size}{pool}{scales}"
