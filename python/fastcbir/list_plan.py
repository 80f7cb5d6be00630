"""What inverted lists need in memory, and which codes a budget allows: the thinking of `Ivf(memory=...)`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["ListPlan", "bytes_named", "plan_lists"]

Codec = Literal["rabitq1", "rabitq2"]

_BLOCK = 32  # vectors in a block of a list, as storage/lists.hpp lays them out
_LINE = 64
_GRAPH_LISTS = 4096  # from so many on there is a graph over the centroids, search/graph_partition.hpp
_GRAPH_BYTES = 140  # of a centroid in it: 32 links, and a sixteenth has 16 more
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_DTYPE_BYTES = {"float32": 4, "float16": 2, "uint8": 1, "int8": 1}


@dataclass(frozen=True)
class ListPlan:
    """What was chosen for a budget.

    Attributes:
        nlist: lists.
        codec: of the codes in them.
        map_rows: whether the vectors themselves do not fit in: save the index and search
            `load(path, mmap=True)`, which reads from the file those that it compares exactly.
        resident_bytes: what searching needs in memory: lists, codes and centroids, and the vectors unless
            they are mapped. Ids other than 0, 1, 2, ... add 14 to 20 bytes a vector.
        explanation: the same in words.
    """

    nlist: int
    codec: Codec
    map_rows: bool
    resident_bytes: int
    explanation: str


def bytes_named(memory: str | int) -> int:
    """The bytes of 8_000_000_000, "8GB", "7.5 GiB" or "500MB".

    Raises:
        ValueError: it is none of these, or not above 0.
    """
    size = -1
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(i?)b?\s*", memory, re.IGNORECASE)
        if found:
            unit = _UNITS[found[2].lower()]
            size = int(float(found[1]) * (2 ** (10 * round(math.log10(unit) / 3)) if found[3] else unit))
    elif not isinstance(memory, bool):
        size = int(memory)
    if size <= 0:
        raise ValueError(f'memory must be a number of bytes or a text like "8GB" or "7.5GiB", got {memory!r}')
    return size


def _lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _row_bytes(dim: int, dtype: str) -> int:
    return _lines(dim * _DTYPE_BYTES[dtype])


def _list_bytes(vectors: int, dim: int, dtype: str, nlist: int, bits: int) -> int:
    """Lists of `vectors`, half a block of each unused, their centroids, and those' own codes or graph."""
    groups = -(-dim // 16) * 4
    block = _lines(4 * _BLOCK + bits * groups * 16 + 4 * _BLOCK)
    blocks = -(-vectors // _BLOCK) + nlist // 2 + nlist // _BLOCK + 1
    graph = _GRAPH_BYTES if nlist >= _GRAPH_LISTS else 0
    return blocks * block + nlist * (_row_bytes(dim, dtype) + 16 + graph) + vectors // 8


def lists_for(vectors: int) -> int:
    """As many lists as an index chooses by itself: 2 sqrt(N), and none shorter than 40 on average."""
    return max(1, min(round(2 * math.sqrt(vectors)), vectors // 40))


def _said(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def plan_lists(
    vectors: int,
    dim: int,
    dtype: str,
    budget: int,
    *,
    nlist: int | None = None,
    codecs: tuple[Codec, ...] = (),
) -> ListPlan:
    """The finest codes that fit, with the vectors in memory if those fit too.

    Vectors in memory come first: re-ranking from a file that is not in the page cache costs a read of the
    disk for each candidate, more than finer codes save.

    Args:
        vectors: how many there will be.
        dim, dtype: of the index.
        budget: bytes.
        nlist: lists; None: 2 sqrt(vectors).
        codecs: those to choose from, the finest first; none given: both.

    Raises:
        ValueError: not even the coarsest codes fit.
    """
    lists = nlist or lists_for(vectors)
    rows = vectors * _row_bytes(dim, dtype)
    finest_first: tuple[Codec, ...] = codecs or ("rabitq2", "rabitq1")
    sizes = {codec: _list_bytes(vectors, dim, dtype, lists, int(codec[-1])) for codec in finest_first}
    count = f"{vectors:,} vectors of {dim} x {dtype}"
    for map_rows in (False, True):
        for codec in finest_first:
            needed = sizes[codec] + (0 if map_rows else rows)
            if needed > budget:
                continue
            where = (
                f"their vectors ({_said(rows)}) do not fit beside them: save() and load(path, mmap=True), "
                "which re-ranks from the file"
                if map_rows
                else f"beside the vectors themselves ({_said(rows)}), which re-rank"
            )
            explanation = (
                f"{count} in {_said(budget)}: {lists:,} lists with codes of {codec[-1]} bits a dimension "
                f"({_said(sizes[codec])}), {where}"
            )
            if map_rows and dtype == "float32" and needed + rows // 2 <= budget:
                explanation += '; with dtype="float16" the vectors would fit'
            return ListPlan(lists, codec, map_rows, needed, explanation)
    coarsest = finest_first[-1]
    raise ValueError(
        f"memory is {_said(budget)}, but {count} need at least {_said(sizes[coarsest])} for lists with "
        f"codes of {coarsest[-1]} bits a dimension: give more memory, or make the vectors shorter"
    )
