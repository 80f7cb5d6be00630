# The compiled core as Python sees it: what cpp/bindings registers. fastcbir.index is its only user.
from collections.abc import Callable
from os import PathLike
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fastcbir.types import Hits

_Progress = Callable[[int, int], object] | None
_Ids = npt.NDArray[np.int64]
_Distances = npt.NDArray[np.float32]

_Function = TypeVar("_Function", bound=Callable[..., Hits])

# Decorates fastcbir.Index.search, which does no more than call Index.search below: then without a frame.
def direct_search(function: _Function) -> _Function: ...

class Index:
    def add(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike | None, threads: int | None, progress: _Progress
    ) -> _Ids: ...
    def train(self, vectors: npt.ArrayLike, threads: int | None, progress: _Progress) -> None: ...
    def update(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, threads: int | None, progress: _Progress
    ) -> None: ...
    def remove(self, ids: npt.ArrayLike) -> None: ...
    def compact(self, threads: int | None, progress: _Progress) -> None: ...
    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        ef: int | None,
        nprobe: int | None,
        rerank: int | None,
        max_distances: int | None,
        allow: npt.ArrayLike | None,
        recall: float | None,
        probability: float | None,
        threads: int | None,
        progress: _Progress,
    ) -> Hits: ...
    def range_search(
        self,
        queries: npt.ArrayLike,
        radius: float,
        ef: int | None,
        nprobe: int | None,
        allow: npt.ArrayLike | None,
        threads: int | None,
        progress: _Progress,
    ) -> tuple[_Ids, _Ids, _Distances]: ...
    def reconstruct(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32 | np.uint8 | np.int8]: ...
    def ids(self) -> _Ids: ...
    def size(self) -> int: ...
    def removed_count(self) -> int: ...
    def contains(self, id: int) -> bool: ...
    def memory_bytes(self) -> int: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def set_stop_model(self, model: bytes) -> None: ...
    def stop_model(self) -> bytes: ...
    def stop_plan(
        self, k: int, recall: float, probability: float, share: float
    ) -> tuple[int, int | None, float, float, float | None]: ...
    def shadows(self) -> list[tuple[int, float, float, bool, int, float, float, float]]: ...
    def fingerprint(self) -> tuple[int, int, int, int, int]: ...
    def draw_queries(self, count: int, seed: int) -> _Ids: ...
    def largest_norm(self) -> float: ...
    def nearest_values(
        self,
        queries: npt.ArrayLike,
        k: int,
        own: npt.ArrayLike,
        allow: npt.ArrayLike | None,
        threads: int | None,
        progress: _Progress,
    ) -> npt.NDArray[np.float32]: ...
    def trace(
        self,
        queries: npt.ArrayLike,
        k: int,
        cap: int,
        own: npt.ArrayLike,
        true_kth: npt.ArrayLike,
        largest_norm: float,
        allow: npt.ArrayLike | None,
        detailed: bool,
        threads: int | None,
        progress: _Progress,
        whole: bool = False,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...
    @property
    def kind(self) -> str: ...
    @property
    def read_only(self) -> bool: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> str: ...
    @property
    def dtype(self) -> str: ...

class Flat(Index):
    def __init__(self, dim: int, metric: str, dtype: str) -> None: ...

class Hnsw(Index):
    def __init__(
        self,
        dim: int,
        metric: str,
        dtype: str,
        m: int,
        ef_construction: int,
        keep_pruned: bool,
        seed: int,
        code_bits: int,
    ) -> None: ...
    @property
    def params(self) -> tuple[int, int, bool, int, int]: ...

class Ivf(Index):
    def __init__(
        self,
        dim: int,
        metric: str,
        dtype: str,
        nlist: int,
        imi_bits: int,
        code_bits: int,
        code_parts: int,
        seed: int,
    ) -> None: ...
    @property
    def params(self) -> tuple[int, int, int, int, int]: ...
    @property
    def nlist(self) -> int: ...

def load(path: str | PathLike[str], mmap: bool, verify: bool) -> Index: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def nearest_both_ways(
    a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], metric: str
) -> tuple[npt.NDArray[np.int32], _Distances, _Distances, npt.NDArray[np.int32]]: ...
def dual_softmax_matches(
    a: npt.NDArray[np.float32],
    grid_a: tuple[int, int],
    b: npt.NDArray[np.float32],
    grid_b: tuple[int, int],
    scale: float,
    threshold: float,
    border: int,
    threads: int | None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], _Distances]: ...
def gather_windows(
    map: npt.NDArray[np.float32], cells: npt.NDArray[np.int32], grid_columns: int, step: int, side: int
) -> npt.NDArray[np.float32]: ...
