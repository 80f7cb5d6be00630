"""Reads the tensors of a torch checkpoint with neither torch nor trust.

A checkpoint is a pickle, and a pickle may call anything. Here it may build dicts, lists, numbers, strings,
tensors, and arrays of numbers (pickled_numpy.py); whatever else it asks for is refused by name. Both of
torch's layouts are read: the zip archive (torch >= 1.6: `NAME/data.pkl` beside `NAME/data/KEY`) and the older
stream of five pickles followed by the storages.

Imports numpy alone.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.extract import pickled_numpy

__all__ = ["read_checkpoint", "state_dict"]

Array = npt.NDArray[Any]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

# What torch calls a storage, and the little-endian elements it holds. bfloat16, which NumPy lacks, is read
# as its upper 16 bits and widened to float32.
_BFLOAT16 = "bfloat16"
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True)
class _StorageType:
    """Stands where a pickle names torch.FloatStorage and its like. Not callable, so REDUCE can't run it."""

    name: str

    @property
    def element(self) -> np.dtype[Any]:
        code = _STORAGES[self.name]
        return np.dtype("<u2" if code == _BFLOAT16 else code)


@dataclass
class _Storage:
    """One flat run of elements. Legacy files name their storages first and bring the bytes last."""

    kind: _StorageType
    count: int
    data: Array | None = None
    offset: int = 0  # elements into `base`, where this storage is a window of another one
    base: _Storage | None = None

    def elements(self) -> Array:
        if self.base is not None:
            whole = self.base.elements()
            if self.offset < 0 or self.offset + self.count > len(whole):
                raise ModelError("damaged checkpoint: a storage reaches outside the one it is a window of")
            return whole[self.offset : self.offset + self.count]
        if self.data is None:
            raise ModelError("damaged checkpoint: a tensor's storage is missing")
        return self.data


@dataclass
class _Tensor:
    """A tensor as the pickle describes it: a window of a storage, resolved once the storages are read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements

    def array(self) -> Array:
        flat = self.storage.elements()
        if len(self.shape) != len(self.strides) or min(self.shape + self.strides, default=0) < 0:
            raise ModelError(f"damaged checkpoint: shape {self.shape} with strides {self.strides}")
        # as_strided trusts its arguments, so the last element reached is checked here.
        reach = sum((side - 1) * step for side, step in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        empty = count == 0
        # A stride of 0 could make a few bytes claim any number of elements, hence the bound on the count too.
        if self.offset < 0 or count > len(flat) or (not empty and self.offset + reach >= len(flat)):
            raise ModelError(
                f"damaged checkpoint: a tensor of shape {self.shape} at {self.offset} reaches outside "
                f"its storage of {len(flat)} elements"
            )
        if empty:
            found = np.zeros(self.shape, flat.dtype)
        else:
            steps = tuple(step * flat.itemsize for step in self.strides)
            found = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps).copy()
        if _STORAGES[self.storage.kind.name] == _BFLOAT16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return cast(Array, found)


class _Dict(OrderedDict[Any, Any]):
    """An OrderedDict that is deaf to attributes a pickle would set on it (torch keeps `_metadata` there)."""

    def __setstate__(self, state: object) -> None:
        pass


def _tensor_v2(storage: object, offset: object, shape: object, strides: object, *_: object) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise ModelError(f"damaged checkpoint: a tensor over {type(storage).__name__} instead of a storage")
    return _Tensor(storage, _whole(offset), _wholes(shape), _wholes(strides))


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise ModelError(f"damaged checkpoint: expected a whole number, got {type(value).__name__}")
    return value


def _wholes(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list):
        raise ModelError(f"damaged checkpoint: expected a tuple of numbers, got {type(values).__name__}")
    return tuple(_whole(value) for value in values)


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    **pickled_numpy.ADMITTED,
    **{("torch", name): _StorageType(name) for name in _STORAGES},
}


class _Unpickler(pickle.Unpickler):
    """A pickle reader whose whole world is `_ADMITTED`."""

    def __init__(self, file: io.BufferedIOBase, source: str, storages: dict[str, _Storage]) -> None:
        super().__init__(file, encoding="latin1")  # what Python 2 wrote may be bytes
        self._source = source
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise ModelError(
                f"{self._source}: refused, for its pickle wants {module}.{name}; only tensors, arrays of "
                "numbers and plain containers are read here. Save the model's state_dict() instead of "
                "the model"
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        if (
            not isinstance(pid, tuple)
            or len(pid) < 5
            or pid[0] != "storage"
            or not isinstance(pid[1], _StorageType)
        ):
            raise ModelError(f"{self._source}: damaged checkpoint: {pid!r:.80} is no reference to a storage")
        kind, key, count = pid[1], str(pid[2]), _whole(pid[4])
        storage = self._storages.setdefault(key, _Storage(kind, count))
        if storage.kind != kind:
            raise ModelError(f"{self._source}: damaged checkpoint: storage {key} has two types")
        view = pid[5] if len(pid) > 5 else None
        if view is None:
            return storage
        _, offset, size = view
        return _Storage(kind, _whole(size), offset=_whole(offset), base=storage)


def read_checkpoint(path: str | Path | bytes) -> Any:
    """Everything in a torch checkpoint, tensors as NumPy arrays.

    Args:
        path: the .pth or .pt file, or its bytes.

    Returns:
        What was saved: dicts, lists, tuples, numbers, strings, and a NumPy array for each tensor or array.
        float16 stays float16; bfloat16 becomes float32.

    Raises:
        ModelError: the file is no checkpoint, is damaged, or its pickle wants something other than tensors
            and plain containers; the message names what it wanted.
    """
    source = "checkpoint" if isinstance(path, bytes) else str(path)
    try:
        data = path if isinstance(path, bytes) else Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{source}: can't be read: {error.strerror or error}") from error
    try:
        tree = _read_zip(data, source) if data[:4] == b"PK\x03\x04" else _read_legacy(data, source)
        return _resolve(tree)
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(source) else f"{source}: {text}") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        _damaged(source, error)


def state_dict(path: str | Path | bytes) -> dict[str, Array]:
    """The name -> array map of a checkpoint, whether saved bare or under the key `state_dict` or `model`.

    Raises:
        ModelError: as read_checkpoint, or the checkpoint holds no such map.
    """
    tree = read_checkpoint(path)
    for key in ("state_dict", "model"):
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            tree = tree[key]
    if not isinstance(tree, dict) or not tree:
        raise ModelError(f"expected a checkpoint with a state_dict, found {type(tree).__name__}")
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ModelError(
                f"expected a checkpoint of named tensors, found {name!r}: {type(value).__name__}"
            )
    return dict(tree)


def _read_zip(data: bytes, source: str) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ModelError(f"{source}: a zip file without the one data.pkl of a torch checkpoint")
        root = pickles[0].removesuffix("data.pkl")
        names = set(archive.namelist())
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder").strip() != b"little":
            raise ModelError(f"{source}: a big-endian checkpoint; save it again on a little-endian machine")
        storages: dict[str, _Storage] = {}
        tree = _Unpickler(io.BytesIO(archive.read(pickles[0])), source, storages).load()
        for key, storage in storages.items():
            name = f"{root}data/{key}"
            if name not in names:
                raise ModelError(f"{source}: damaged checkpoint: {name} is missing")
            expected = storage.count * storage.kind.element.itemsize
            # Checked before it is read: a small archive may claim to unpack to anything.
            if archive.getinfo(name).file_size != expected:
                raise ModelError(
                    f"{source}: damaged checkpoint: {name} holds {archive.getinfo(name).file_size} bytes, "
                    f"expected {expected}"
                )
            storage.data = np.frombuffer(archive.read(name), storage.kind.element)
    return tree


def _read_legacy(data: bytes, source: str) -> Any:
    file = io.BytesIO(data)
    storages: dict[str, _Storage] = {}

    def load() -> Any:
        return _Unpickler(file, source, storages).load()

    try:
        magic, protocol = load(), load()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source}: not a torch checkpoint (neither a zip archive nor the older layout)"
        ) from error
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
        raise ModelError(f"{source}: not a torch checkpoint (neither a zip archive nor the older layout)")
    machine = load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ModelError(f"{source}: a big-endian checkpoint; save it again on a little-endian machine")
    tree = load()
    for key in load():
        storage = storages.get(str(key))
        if storage is None:
            raise ModelError(f"{source}: damaged checkpoint: storage {key} is not named by any tensor")
        count = int.from_bytes(file.read(8), "little")
        size = count * storage.kind.element.itemsize
        if count != storage.count or size > len(data) - file.tell():
            raise ModelError(f"{source}: damaged checkpoint: storage {key} is cut short")
        storage.data = np.frombuffer(data, storage.kind.element, count, file.tell())
        file.seek(size, io.SEEK_CUR)
    return tree


def _resolve(tree: Any) -> Any:
    """Replace each described tensor by its array, in copies of the containers."""
    if isinstance(tree, _Tensor | pickled_numpy.PickledArray):
        return tree.array()
    if isinstance(tree, dict):
        return {key: _resolve(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_resolve(value) for value in tree]
    if isinstance(tree, tuple):
        return tuple(_resolve(value) for value in tree)
    return tree


def _damaged(source: str, error: Exception) -> NoReturn:
    raise ModelError(f"{source}: damaged checkpoint ({type(error).__name__}: {error})") from error
