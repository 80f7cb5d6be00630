"""From what users choose to what the core is made with."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

from fastcbir import _core
from fastcbir.list_plan import ListPlan, bytes_named, plan_lists
from fastcbir.types import Flat, Hnsw, Imi, Ivf, Method

__all__ = ["make_core", "make_lists", "method_of", "within_memory"]

_CODE_BITS: dict[str | None, int] = {None: 0, "rabitq1": 1, "rabitq2": 2}
_MOST_PARTS = 256  # bytes of product codes, storage/product_codec.hpp


def _codec_for(dim: int, metric: str, dtype: str) -> Literal["rabitq1", "rabitq2"] | None:
    """The codes that measured best; none where they can't be."""
    if metric == "cosine" and dtype in ("uint8", "int8"):
        return None
    return "rabitq2" if dim <= 256 else "rabitq1"


def _list_codes(codec: str | None, dim: int) -> tuple[int, int]:
    """Of a codec of lists: bits a dimension, and bytes of product codes; one of them, or neither, is above 0.

    Raises:
        ValueError: there is no such codec, or not in so many dimensions.
    """
    if codec in _CODE_BITS:
        return _CODE_BITS[codec], 0
    found = re.fullmatch(r"pq(\d+)", str(codec))
    if found is None:
        raise ValueError(
            "codec must be None, 'auto', 'rabitq1', 'rabitq2' or, for product codes of 16 bytes a vector, "
            f"'pq16', got {codec!r}"
        )
    most = min(dim, _MOST_PARTS)
    if not 1 <= int(found[1]) <= most:
        raise ValueError(f"product codes of {dim} dimensions have 1..{most} bytes, got codec {codec!r}")
    return 0, int(found[1])


def _settled(method: Hnsw, dim: int, metric: str, dtype: str) -> Hnsw:
    """The method with what was left to the library chosen."""
    if method.keep_pruned is None:
        method = replace(method, keep_pruned=metric == "ip")
    if method.codec == "auto":
        possible = method.m % 16 == 0 and dim >= 32
        method = replace(method, codec=_codec_for(dim, metric, dtype) if possible else None)
    return method


def make_lists(dim: int, metric: str, dtype: str, method: Ivf | Imi) -> _core.Index:
    """The core of inverted lists. Raises ValueError for parameters out of range."""
    nlist = method.nlist if isinstance(method, Ivf) else None
    bits = method.bits if isinstance(method, Imi) else None
    for name, value, most in (("nlist", nlist, 2**22), ("bits", bits, 12)):
        if value is not None and not 1 <= value <= most:
            raise ValueError(f"{name} must be in 1..{most}, got {value}")
    if not 0 <= method.seed < 2**64:
        raise ValueError(f"the numbers of a method must not be negative, got {method}")
    code_bits, code_parts = _list_codes(method.codec, dim)
    if isinstance(method, Ivf) and method.memory is not None:
        bytes_named(method.memory)
        if method.codec is None:
            raise ValueError(
                "memory is for lists with codes: leave codec to what it is by default, "
                "and don't ask for the cosine of 8-bit vectors"
            )
    if metric == "cosine" and dtype in ("uint8", "int8") and method.codec is not None:
        raise ValueError(
            f"codec {method.codec!r} can't estimate the cosine of 8-bit vectors; "
            "use codec=None, or dtype float16"
        )
    return _core.Ivf(
        dim,
        metric,
        dtype,
        nlist=nlist or 0,
        imi_bits=bits or 0,
        code_bits=code_bits,
        code_parts=code_parts,
        seed=method.seed,
    )


def within_memory(method: Ivf, count: int, dim: int, dtype: str) -> tuple[Ivf, ListPlan]:
    """What `Ivf(memory=...)` becomes for so many vectors, or as many as are expected."""
    assert method.memory is not None
    plan = plan_lists(method.expected or count, dim, dtype, bytes_named(method.memory), nlist=method.nlist)
    return replace(method, codec=plan.codec, nlist=plan.nlist if method.expected else method.nlist), plan


def make_core(dim: int, metric: str, dtype: str, method: Method) -> tuple[_core.Index, Method]:
    """The core's index, and the method with what was left to the library chosen.

    Raises:
        ValueError: a parameter is out of range.
    """
    if isinstance(method, Flat):
        return _core.Flat(dim, metric, dtype), method
    if isinstance(method, (Ivf, Imi)):
        if method.codec == "auto":
            method = replace(method, codec=_codec_for(int(dim), metric, dtype))
        return make_lists(int(dim), metric, dtype, method), method
    if not isinstance(method, Hnsw):
        raise ValueError(f"method must be Flat(), Hnsw(...), Ivf(...) or Imi(...), got {method!r}")
    if method.m < 0 or method.ef_construction < 0 or not 0 <= method.seed < 2**64:
        raise ValueError(f"the numbers of a method must not be negative, got {method}")
    method = _settled(method, int(dim), metric, dtype)
    if method.codec not in _CODE_BITS:
        raise ValueError(f"codec must be None, 'auto', 'rabitq1' or 'rabitq2', got {method.codec!r}")
    core = _core.Hnsw(
        dim,
        metric,
        dtype,
        m=method.m,
        ef_construction=method.ef_construction,
        keep_pruned=bool(method.keep_pruned),
        seed=method.seed,
        code_bits=_CODE_BITS[method.codec],
    )
    return core, method


def method_of(core: _core.Index) -> Method:
    """The method of a loaded index."""
    if isinstance(core, _core.Hnsw):
        m, ef_construction, keep_pruned, seed, code_bits = core.params
        codec: Any = next(name for name, bits in _CODE_BITS.items() if bits == code_bits)
        return Hnsw(m, ef_construction, keep_pruned, seed, codec)
    if isinstance(core, _core.Ivf):
        nlist, imi_bits, code_bits, code_parts, seed = core.params
        codec = next(name for name, bits in _CODE_BITS.items() if bits == code_bits)
        if code_parts:
            codec = f"pq{code_parts}"
        return Imi(imi_bits, codec, seed) if imi_bits else Ivf(nlist or None, codec, seed)
    return Flat()
