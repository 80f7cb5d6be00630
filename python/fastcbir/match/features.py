"""What a matcher keeps of one photo: named arrays, and how they become bytes for a cache. NumPy alone."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import FormatError

__all__ = ["LocalFeatures"]

_MAGIC = b"FCLF1\0\0\0"


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Of one photo. What the arrays are is the matcher's own affair, but for these, which sparse ones share:

    points (N, 2) float32, in pixels of the whole upright photo, (0, 0) the centre of the first;
    scores (N,) float32, descending; descriptors (N, dim) uint8, int8 or float32.

    Attributes:
        size: (width, height) of the photo.
        arrays: by name.
    """

    size: tuple[int, int]
    arrays: dict[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]

    def __len__(self) -> int:
        """Keypoints or cells; 0 where nothing was found."""
        return len(next(iter(self.arrays.values()), ()))

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def to_bytes(self) -> bytes:
        """A header in JSON and the arrays behind it, little-endian."""
        parts = [
            np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
            for array in self.arrays.values()
        ]
        about = [
            [name, part.dtype.str, array.shape]
            for (name, array), part in zip(self.arrays.items(), parts, strict=True)
        ]
        header = json.dumps({"size": self.size, "arrays": about}).encode()
        return b"".join(
            [_MAGIC, struct.pack("<I", len(header)), header, *(array.tobytes() for array in parts)]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> LocalFeatures:
        """Back again, without copying the arrays.

        Raises:
            FormatError: these are not the bytes that to_bytes() made.
        """
        try:
            if data[:8] != _MAGIC:
                raise ValueError(f"they begin with {data[:8]!r}, expected {_MAGIC!r}")
            (length,) = struct.unpack_from("<I", data, 8)
            header = json.loads(data[12 : 12 + length])
            place = 12 + length
            arrays = {}
            for name, kind, shape in header["arrays"]:
                dtype = np.dtype(kind)
                if dtype.hasobject or any(side < 0 for side in shape):
                    raise ValueError(f"array {name} is {kind} {shape}")
                count = int(np.prod(shape))
                arrays[str(name)] = np.frombuffer(data, dtype, count, place).reshape(shape)
                place += count * dtype.itemsize
            if place != len(data):
                raise ValueError(f"{len(data)} bytes, expected {place}")
            width, height = header["size"]
            return cls((int(width), int(height)), arrays)
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise FormatError(f"damaged local features: {error}") from error
