"""The adapters: which files and folders are data sets, and what reads each."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from fastcbir.datasets import bigann, deep1b, folder, glove, hdf5
from fastcbir.datasets.images import SUFFIXES as IMAGE_SUFFIXES
from fastcbir.datasets.types import Dataset
from fastcbir.errors import FormatError

__all__ = ["ADAPTERS", "Adapter", "adapter_for", "similar"]


class _Load(Protocol):
    def __call__(self, path: str | Path, *, n: int | None = ..., metric: str | None = ...) -> Dataset: ...


class Adapter(NamedTuple):
    """A form of data set on disk."""

    name: str
    what: str
    """The files it takes, for people."""
    recognises: Callable[[Path], bool]
    """Whether an existing path is of this form; looks at names and first bytes only."""
    load: _Load


# The first that recognises a path reads it: special folders stand before the general one.
ADAPTERS: tuple[Adapter, ...] = (
    Adapter("hdf5", "ann-benchmarks' .hdf5", lambda path: path.suffix in hdf5.SUFFIXES, hdf5.load_hdf5),
    Adapter("glove", "GloVe's .txt or .zip", lambda path: path.suffix in (".txt", ".zip"), glove.load_glove),
    Adapter("bigann", "a folder with bigann_base.bvecs", bigann.is_bigann, bigann.load_bigann),
    Adapter("deep1b", "a folder with base_00, base_01, ...", deep1b.is_deep1b, deep1b.load_deep1b),
    Adapter(
        "folder",
        f"a folder, or its base file, with base and queries as {', '.join(folder.SUFFIXES)}",
        folder.has_base,
        folder.load_folder,
    ),
)

_ELSEWHERE = {
    ".pkl": "ground truth of ROxford5k or RParis6k is read by fastcbir.datasets.load_revisitop",
    ".json": "ground truth of ROxford5k or RParis6k is read by fastcbir.datasets.load_revisitop",
    ".fa": "FASTA is read by fastcbir.datasets.read_fasta",
    ".fasta": "FASTA is read by fastcbir.datasets.read_fasta",
    ".gz": "unpack it first",
    ".tar": "unpack it first",
}


def adapter_for(path: Path) -> Adapter:
    """The adapter that reads an existing file or folder.

    Raises:
        FormatError: none does; the message says what would be read.
    """
    for adapter in ADAPTERS:
        if adapter.recognises(path):
            return adapter
    expected = "; ".join(adapter.what for adapter in ADAPTERS)
    hint = _ELSEWHERE.get(path.suffix, "")
    if path.is_dir() and any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.rglob("*")):
        hint = "it holds images: search those with fastcbir.ImageIndex, list them with image_folder"
    raise FormatError(f"{path} is no data set{f' ({hint})' if hint else ''}; expected {expected}")


def similar(name: str, names: list[str]) -> str:
    """A phrase that names the nearest of `names`, or all of them."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(names)}"
