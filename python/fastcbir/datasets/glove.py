"""GloVe's text files: a word and its components on each line, plain or inside the .zip they come in.

Pennington et al., 2014, https://nlp.stanford.edu/projects/glove/. Imports numpy only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcbir.datasets.checks import check_rows, readable_size
from fastcbir.datasets.types import Dataset
from fastcbir.errors import FormatError

__all__ = ["WordVectors", "load_glove", "read_glove"]

QUERIES = 1000
_SEED = 1


class WordVectors(NamedTuple):
    """Words and their vectors, most frequent first."""

    words: list[str]
    vectors: npt.NDArray[np.float32]
    """(N, d)"""


def read_glove(path: str | Path, *, member: str | None = None, n: int | None = None) -> WordVectors:
    """Words and vectors of a GloVe file.

    Args:
        path: .txt, or a .zip that holds one or more of them.
        member: which .txt of a .zip; needed only where there are several.
        n: only the first n lines.

    Raises:
        FormatError: a line with another number of components than the first or with no number in it (with the
            line), a zip without the member, fewer than n lines.
    """
    path = Path(path)
    check_rows(n)
    readable_size(path)
    words: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    with _opened(path, member) as (file, where):
        for number, raw in enumerate(file, start=1):
            if n is not None and number > n:
                break
            # A word may hold blanks of its own (some of 840B do), so components are counted from the end.
            line = raw.rstrip(b"\r\n ")
            parts = line.rsplit(b" ", len(rows[0])) if rows else line.split(b" ")
            try:
                row = np.array(parts[1:], dtype=np.float32)
            except ValueError:
                row = np.empty(0, dtype=np.float32)
            if len(row) == 0 or (rows and len(row) != len(rows[0])) or not np.isfinite(row).all():
                expected = f"{len(rows[0])} numbers" if rows else "numbers"
                raise FormatError(f"{where}, line {number}: expected a word and {expected}, not {raw[:60]!r}")
            words.append(parts[0].decode("utf-8", "replace"))
            rows.append(row)
    if not rows:
        raise FormatError(f"{where}: expected words and vectors but it is empty")
    if n is not None and len(rows) < n:
        raise FormatError(f"{where}: n={n} words were asked for but it holds {len(rows)}")
    return WordVectors(words, np.stack(rows))


def load_glove(
    path: str | Path, *, n: int | None = None, metric: str | None = None, member: str | None = None
) -> Dataset:
    """Word vectors as a data set: 1,000 words drawn at random (always the same) ask, all others are the base.

    Args:
        path, member: as `read_glove` takes them.
        n: how many vectors the base shall have; the file's first n + 1,000 words are read.
        metric: "cosine" unless said otherwise.

    Raises:
        FormatError: as `read_glove`, or no more than 1,000 words.
    """
    path = Path(path)
    vectors = read_glove(path, member=member, n=None if n is None else n + QUERIES).vectors
    if len(vectors) <= QUERIES:
        raise FormatError(
            f"{path}: expected more than {QUERIES} words, as so many ask, but it holds {len(vectors)}"
        )
    asks = np.zeros(len(vectors), dtype=bool)
    asks[np.random.default_rng(_SEED).choice(len(vectors), QUERIES, replace=False)] = True
    return Dataset(
        name=Path(member or path.name).stem,
        base=vectors[~asks],
        queries=vectors[asks],
        metric=metric or "cosine",
        licence="PDDL-1.0 (as published by Stanford)",
        source=str(path),
    )


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], str]]:
    if not zipfile.is_zipfile(path):
        if path.suffix == ".zip":
            raise FormatError(f"{path}: expected a zip archive, but it is damaged or truncated")
        with path.open("rb", buffering=1 << 20) as file:
            yield file, str(path)
        return
    with zipfile.ZipFile(path) as archive:
        texts = [name for name in archive.namelist() if name.endswith(".txt")]
        chosen = member or (texts[0] if len(texts) == 1 else None)
        if chosen not in texts:
            wanted = f"{member!r}" if member else "one .txt, or member= to choose"
            raise FormatError(f"{path}: expected {wanted} but it holds {', '.join(texts) or 'no .txt'}")
        assert chosen is not None
        with archive.open(chosen) as file:
            yield file, f"{path}/{chosen}"
