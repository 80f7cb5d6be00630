"""BIGANN (SIFT1B) as TEXMEX gives it: bigann_{base,learn,query}.bvecs and gnd/{idx,dis}_<n>M.{ivecs,fvecs}.

Jégou et al., 2011, http://corpus-texmex.irisa.fr. Imports numpy only.
"""

from __future__ import annotations

from pathlib import Path

from fastcbir.datasets.folder import assemble
from fastcbir.datasets.types import Dataset
from fastcbir.datasets.vecs import VECS_DTYPES
from fastcbir.errors import FormatError

__all__ = ["is_bigann", "load_bigann"]

_BASE = "bigann_base.bvecs"
_MILLION = 1_000_000
_STRIDE = 4 + 128 * VECS_DTYPES[".bvecs"].itemsize


def is_bigann(path: Path) -> bool:
    """Whether the folder holds BIGANN's base, packed or not."""
    return (path / _BASE).is_file() or (path / f"{_BASE}.gz").is_file()


def load_bigann(path: str | Path, *, n: int | None = None, metric: str | None = None) -> Dataset:
    """BIGANN from its folder, memory-mapped; with n a multiple of a million, with that slice's own truth.

    Args:
        path: the folder.
        n: only the first n vectors. TEXMEX gives the truth for 1, 2, 5, 10, ... 1000 million.
        metric: "l2", what the truth was made with.

    Raises:
        FormatError: files that are missing, packed, or refused by `read_vecs`.
    """
    folder = Path(path)
    base = folder / _BASE
    for file in (base, folder / "bigann_query.bvecs"):
        if not file.is_file():
            packed = file.with_name(f"{file.name}.gz").is_file()
            wanted = f"it is packed: run gunzip {file}.gz" if packed else "it is missing"
            raise FormatError(f"{folder}: expected {file.name}, but {wanted}")
    rows = n if n is not None else base.stat().st_size // _STRIDE
    millions, rest = divmod(rows, _MILLION)
    truth = folder / "gnd" / f"idx_{millions}M.ivecs"
    distances = folder / "gnd" / f"dis_{millions}M.fvecs"
    learn = folder / "bigann_learn.bvecs"
    known = rest == 0 and truth.is_file()
    return assemble(
        "bigann" if n is None else f"bigann-{n}",
        base,
        folder / "bigann_query.bvecs",
        learn=learn if learn.is_file() else None,
        truth=truth if known else None,
        distances=distances if known and distances.is_file() else None,
        truth_rows=rows,
        n=n,
        metric=metric,
    )
