"""What inverted lists need in memory, and which codes a budget allows: the thinking of `Ivf(memory=...)`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["ListPlan", "bytes_named", "plan_lists"]

_BLOCK = 32  # vectors in a block of a list, as storage/lists.hpp lays them out
_LINE = 64
_GRAPH_LISTS = 4096  # from so many on there is a graph over the centroids, search/graph_partition.hpp
_GRAPH_LISTS_PLAIN = 1024  # where they have no codes of their own
_GRAPH_BYTES = 140  # of a centroid in it: 32 links, and a sixteenth has 16 more
_PRODUCT_ENTRIES = 256  # of a codebook
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
    codec: str
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


def _list_bytes(vectors: int, dim: int, dtype: str, nlist: int, codec: str) -> int:
    """Lists of `vectors`, half a block of each unused, their centroids, and those' own codes or graph."""
    blocks = -(-vectors // _BLOCK) + nlist // 2
    books = 0
    if codec.startswith("pq"):
        parts = int(codec[2:])
        codes = -(-parts // 2) * 2 * _BLOCK
        books = _PRODUCT_ENTRIES * 4 * (dim + parts)
        least = _GRAPH_LISTS_PLAIN
    else:
        codes = int(codec[-1]) * -(-dim // 16) * 4 * 16
        blocks += nlist // _BLOCK + 1
        least = _GRAPH_LISTS
    block = _lines(4 * _BLOCK + codes + 4 * _BLOCK)
    graph = _GRAPH_BYTES if nlist >= least else 0
    return blocks * block + books + nlist * (_row_bytes(dim, dtype) + 16 + graph) + vectors // 8


def _codecs_for(dim: int) -> tuple[str, ...]:
    """Those that a budget may choose, the finest first: product codes from less than a bit a dimension on."""
    least = max(4, dim // 32 // 4 * 4)
    most = min(256, dim // 8 - 4) // 4 * 4
    return ("rabitq2", "rabitq1", *(f"pq{parts}" for parts in range(most, least - 1, -4)))


def _codes_named(codec: str) -> str:
    return f"{codec[2:]} bytes a vector" if codec.startswith("pq") else f"{codec[-1]} bits a dimension"


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
    codecs: tuple[str, ...] = (),
) -> ListPlan:
    """The finest codes that fit, with the vectors in memory if those fit too.

    Vectors in memory come first: re-ranking from a file that is not in the page cache costs a read of the
    disk for each candidate, more than finer codes save.

    Args:
        vectors: how many there will be.
        dim, dtype: of the index.
        budget: bytes.
        nlist: lists; None: 2 sqrt(vectors).
        codecs: those to choose from, the finest first; none given: all that pay.

    Raises:
        ValueError: not even the coarsest codes fit.
    """
    lists = nlist or lists_for(vectors)
    rows = vectors * _row_bytes(dim, dtype)
    sizes: dict[str, int] = {}  # the finest first
    for codec in codecs or _codecs_for(dim):
        size = _list_bytes(vectors, dim, dtype, lists, codec)
        # Of few vectors the codebooks of product codes take more than is saved.
        if not sizes or size < min(sizes.values()):
            sizes[codec] = size
    count = f"{vectors:,} vectors of {dim} x {dtype}"
    for map_rows in (False, True):
        for codec, size in sizes.items():
            needed = size + (0 if map_rows else rows)
            if needed > budget:
                continue
            where = (
                f"their vectors ({_said(rows)}) do not fit beside them: save() and load(path, mmap=True), "
                "which re-ranks from the file"
                if map_rows
                else f"beside the vectors themselves ({_said(rows)}), which re-rank"
            )
            explanation = (
                f"{count} in {_said(budget)}: {lists:,} lists with codes of {_codes_named(codec)} "
                f"({_said(size)}), {where}"
            )
            if map_rows and dtype == "float32" and needed + rows // 2 <= budget:
                explanation += '; with dtype="float16" the vectors would fit'
            return ListPlan(lists, codec, map_rows, needed, explanation)
    coarsest = min(sizes, key=lambda codec: sizes[codec])
    raise ValueError(
        f"memory is {_said(budget)}, but {count} need at least {_said(sizes[coarsest])} for lists with "
        f"codes of {_codes_named(coarsest)}: give more memory, or make the vectors shorter"
    )
