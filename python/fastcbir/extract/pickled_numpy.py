"""NumPy's arrays and numbers in a pickle, put together here instead of by what the pickle names.

Published retrieval networks keep their learned whitening as arrays and their settings as NumPy numbers
beside the tensors. A pickle spells an array as calls of functions of NumPy; each has a stand-in here that
takes numbers alone, so nothing of NumPy is called with what the file says but `frombuffer` of checked sizes.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError

__all__ = ["ADMITTED", "PickledArray"]


class _NdArray:
    """Stands where a pickle names numpy.ndarray. Not callable."""


class _Dtype:
    """A type of numbers: little- or big-endian floats, integers, booleans."""

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or re.fullmatch(r"f[248]|[iu][1248]|b1", code) is None:
            raise ModelError(f"an array of {code!r} is refused; only numbers are read here")
        self._code, self._order = code, "<"

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise ModelError("an array of records is refused; only numbers are read here")
        self._order = ">" if state[1] == ">" else "<"

    @property
    def numbers(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._code)


class PickledArray:
    """An array as the pickle describes it."""

    def __init__(self) -> None:
        self._found: npt.NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ModelError("damaged checkpoint: an array without its shape, type and bytes")
        _, shape, kind, fortran, data = state
        self.fill(data, kind, shape, "F" if fortran else "C")

    def fill(self, data: object, kind: object, shape: object, order: object) -> None:
        """Sizes are checked before anything is made of them."""
        raw = data.encode("latin1") if isinstance(data, str) else data  # as Python 2 wrote them
        if not isinstance(kind, _Dtype) or not isinstance(raw, bytes | bytearray):
            raise ModelError("damaged checkpoint: an array whose elements are no numbers")
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ModelError(f"damaged checkpoint: an array of shape {shape!r:.80}")
        if math.prod(shape) * kind.numbers.itemsize != len(raw):
            raise ModelError(f"damaged checkpoint: an array of shape {shape} over {len(raw)} bytes")
        flat = np.frombuffer(raw, kind.numbers)
        native = flat.astype(kind.numbers.newbyteorder("="))
        self._found = native.reshape(shape, order="F" if order == "F" else "C")

    def array(self) -> npt.NDArray[Any]:
        if self._found is None:
            raise ModelError("damaged checkpoint: an array without its elements")
        return self._found


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _from_buffer(data: object, kind: object, shape: object, order: object) -> PickledArray:
    made = PickledArray()
    made.fill(data, kind, shape, order)
    return made


def _scalar(kind: object, data: object) -> Any:
    made = PickledArray()
    made.fill(data, kind, (), "C")
    return made.array().item()


def _dtype(code: object, *_: object) -> _Dtype:
    return _Dtype(code)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How pickles for Python 2 spell bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ModelError("damaged checkpoint: bytes in an unknown spelling")
    return text.encode("latin1")


def _empty(*arguments: object) -> bytes:
    """How they spell bytes that are none."""
    if arguments:
        raise ModelError("damaged checkpoint: bytes in an unknown spelling")
    return b""


# NumPy 2 has renamed numpy.core.
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NdArray(),
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
