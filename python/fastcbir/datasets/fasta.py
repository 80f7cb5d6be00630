"""FASTA: named sequences of letters, plain or gzipped. Imports the standard library only."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fastcbir.datasets.checks import readable_size
from fastcbir.errors import FormatError

__all__ = ["DNA", "IUPAC_DNA", "FastaRecord", "read_fasta", "write_fasta"]

DNA = "ACGTN"
IUPAC_DNA = "ACGTNRYSWKMBDHV"


class FastaRecord(NamedTuple):
    """One sequence."""

    name: str
    """The header's first word, without ">"."""
    description: str
    """The rest of the header."""
    sequence: str
    """Upper-case letters."""


def read_fasta(path: str | Path, *, alphabet: str = DNA) -> list[FastaRecord]:
    """The sequences of a FASTA file in their order.

    Args:
        path: plain or gzipped, whatever its suffix.
        alphabet: the letters that may occur, in upper case; lower case (masked parts) is read as upper case.

    Raises:
        FormatError: a letter outside the alphabet (with its line and column), letters before the first
            header, a header without a name or without a sequence, no sequence at all, a damaged gzip stream,
            bytes that aren't text.
    """
    path = Path(path)
    readable_size(path)
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: its gzip stream is damaged or cut: {error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected text but found the byte {data[error.start]:#04x}") from error

    allowed = frozenset(alphabet)
    records: list[FastaRecord] = []
    parts: list[str] = []
    header: tuple[str, str, int] | None = None

    def close() -> None:
        if header is not None:
            if not parts:
                raise FormatError(f"{path}, line {header[2]}: {header[0]!r} has no sequence")
            records.append(FastaRecord(header[0], header[1], "".join(parts)))

    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(";"):
            continue
        if line.startswith(">"):
            close()
            name, _, description = line[1:].strip().partition(" ")
            if not name:
                raise FormatError(f"{path}, line {number}: expected a name after '>'")
            header, parts = (name, description.strip(), number), []
            continue
        if header is None:
            raise FormatError(
                f"{path}, line {number}: expected a header that starts with '>', not {line[:20]!r}"
            )
        letters = line.upper()
        if not allowed.issuperset(letters):
            column = next(place for place, letter in enumerate(letters) if letter not in allowed)
            raise FormatError(
                f"{path}, line {number}, column {raw.index(line) + column + 1}: "
                f"{line[column]!r} isn't in the alphabet {alphabet}"
            )
        parts.append(letters)
    close()
    if not records:
        raise FormatError(f"{path}: expected at least one sequence")
    return records


def write_fasta(path: str | Path, records: Iterable[FastaRecord], *, width: int = 70) -> None:
    """Write sequences in lines of `width` letters; gzipped when the path ends in .gz.

    Raises:
        ValueError: a name that is empty or holds blanks, an empty sequence, or `width` < 1.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, not {width}")
    lines = []
    for record in records:
        if not record.name or record.name.split() != [record.name]:
            raise ValueError(f"a name must be one word, not {record.name!r}")
        if not record.sequence:
            raise ValueError(f"{record.name!r} has no sequence")
        lines.append(f">{record.name} {record.description}".rstrip())
        lines += [record.sequence[at : at + width] for at in range(0, len(record.sequence), width)]
    data = ("\n".join(lines) + "\n").encode()
    path = Path(path)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
