"""Ground truth of ROxford5k and RParis6k: gnd_*.pkl, read without running anything in it, or its JSON twin.

Radenovic et al., "Revisiting Oxford and Paris", CVPR 2018; files at
http://cmp.felk.cvut.cz/revisitop/data/datasets/{roxford5k,rparis6k}/. Imports numpy only.
"""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from fastcbir.datasets.checks import readable_size
from fastcbir.errors import FormatError

__all__ = ["QueryTruth", "RevisitopTruth", "load_revisitop", "save_revisitop_json"]


class QueryTruth(TypedDict):
    """What is right for one query: positions in `RevisitopTruth.images`; and which part of the photo asks."""

    easy: npt.NDArray[np.int64]
    hard: npt.NDArray[np.int64]
    junk: npt.NDArray[np.int64]
    bbx: npt.NDArray[np.float64]
    """(4,) x1, y1, x2, y2 in pixels of the query image; crop before resizing."""


@dataclass(frozen=True)
class RevisitopTruth:
    """The images, the queries, and what is right for each query; `gnd` is what `evaluate_revisitop` takes.

    Attributes:
        images: names in the database, without folder and suffix (jpg/<name>.jpg).
        queries: names of the query images.
        gnd: one entry per query.
    """

    images: tuple[str, ...]
    queries: tuple[str, ...]
    gnd: tuple[QueryTruth, ...]


def load_revisitop(path: str | Path) -> RevisitopTruth:
    """Read gnd_roxford5k or gnd_rparis6k, as .pkl or as .json.

    Raises:
        FormatError: neither form, a pickle that asks for anything but numbers, text, containers and NumPy
            arrays, a part that is missing, an index outside the image list.
    """
    path = Path(path)
    readable_size(path)
    data = path.read_bytes()
    try:
        content = (
            json.loads(data) if path.suffix == ".json" else _Restricted(io.BytesIO(data), str(path)).load()
        )
    except FormatError:
        raise
    except Exception as error:
        # A damaged pickle raises nearly anything, IndexError and MemoryError included.
        form = "JSON" if path.suffix == ".json" else "a pickle"
        raise FormatError(f"{path}: expected {form} with revisitop's ground truth: {error!r}") from error
    return _truth(content, str(path))


def save_revisitop_json(path: str | Path, truth: RevisitopTruth) -> None:
    """Write ground truth as the JSON that `load_revisitop` reads, for those who want no pickles at all."""
    gnd = [{key: np.asarray(value).tolist() for key, value in entry.items()} for entry in truth.gnd]
    content = {"imlist": list(truth.images), "qimlist": list(truth.queries), "gnd": gnd}
    Path(path).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


_BUILTINS = frozenset(
    {
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "set",
        "str",
        "tuple",
    }
)
# How NumPy 1 and 2 pickle arrays and scalars; `encode` is how Python 2's protocol spells bytes.
_NUMPY = frozenset(
    {("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")}
    | {
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    }
    | {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
)


class _Restricted(pickle.Unpickler):
    """Admits numbers, text, containers and NumPy arrays; any other name in the pickle is refused."""

    def __init__(self, file: io.BytesIO, where: str) -> None:
        super().__init__(file, encoding="latin1")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module)
        if (module == "builtins" and name in _BUILTINS) or (module, name) in _NUMPY:
            # NumPy 2 renamed the folder; either version reads the other's files.
            present = "numpy._core." if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core."
            module = module.replace("numpy._core.", present).replace("numpy.core.", present)
            return super().find_class(module, name)
        raise FormatError(
            f"{self._where}: this pickle asks for {module}.{name}, which isn't data; it was not run. "
            "Ground truth needs numbers, text, containers and NumPy arrays alone"
        )


def _truth(content: Any, where: str) -> RevisitopTruth:
    if not isinstance(content, dict) or not {"imlist", "qimlist", "gnd"} <= content.keys():
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise FormatError(f"{where}: expected imlist, qimlist and gnd but found {found}")
    images, queries = (_names(content[key], key, where) for key in ("imlist", "qimlist"))
    gnd = content["gnd"]
    if not isinstance(gnd, (list, tuple)) or len(gnd) != len(queries):
        count = len(gnd) if isinstance(gnd, (list, tuple)) else type(gnd).__name__
        raise FormatError(
            f"{where}: expected one gnd entry for each of {len(queries)} queries but found {count}"
        )
    return RevisitopTruth(
        images, queries, tuple(_entry(entry, query, len(images), where) for query, entry in enumerate(gnd))
    )


def _names(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, np.ndarray)) or not all(isinstance(name, str) for name in value):
        raise FormatError(f"{where}: {key} should be a list of names")
    return tuple(str(name) for name in value)


def _entry(entry: Any, query: int, images: int, where: str) -> QueryTruth:
    expected = {"easy", "hard", "junk", "bbx"}
    if not isinstance(entry, dict) or not expected <= entry.keys():
        found = sorted(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise FormatError(f"{where}: gnd[{query}] should have {sorted(expected)} but has {found}")
    lists = {}
    for key in ("easy", "hard", "junk"):
        ids = np.asarray(entry[key])
        ids = ids.astype(np.int64) if ids.size == 0 else ids
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise FormatError(f"{where}: gnd[{query}][{key!r}] should be a list of indices")
        if ids.size and not (ids.min() >= 0 and ids.max() < images):
            raise FormatError(
                f"{where}: gnd[{query}][{key!r}] should index {images} images "
                f"but reaches from {ids.min()} to {ids.max()}"
            )
        lists[key] = ids.astype(np.int64)
    try:
        box = np.asarray(entry["bbx"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where}: gnd[{query}]['bbx'] should be four numbers") from error
    if box.shape != (4,) or not (box[0] < box[2] and box[1] < box[3]):
        raise FormatError(f"{where}: gnd[{query}]['bbx'] should be x1 < x2, y1 < y2 but is {box.tolist()}")
    return {"easy": lists["easy"], "hard": lists["hard"], "junk": lists["junk"], "bbx": box}
