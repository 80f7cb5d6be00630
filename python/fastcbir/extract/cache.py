"""Converted models in the user's cache folder: found by key, sealed, written atomically.

A sealed file is the model followed by the sha256 of the model, written as one more entry of ONNX's
`metadata_props`: protocol buffers may be extended by appending, so the file stays an ordinary .onnx that
other programs open, and one file carries both. A file whose seal is broken counts as absent and is made
again.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fastcbir.errors import ModelError

__all__ = ["cache_folder", "cached", "data_folder", "file_sha256", "seal", "unsealed", "write_atomically"]

_KEY = b"fastcbir.sha256"


def cache_folder() -> Path:
    """Where converted models are kept: $FASTCBIR_CACHE, else the platform's cache folder + "fastcbir"."""
    override = os.environ.get("FASTCBIR_CACHE")
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "fastcbir" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastcbir"
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says that a relative path there is to be ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "fastcbir"


def data_folder() -> Path:
    """Where what the user would miss is kept: the platform's folder of application data + "fastcbir"."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        data = Path(base) if base else Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME")
        # The XDG specification says that a relative path there is to be ignored.
        data = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return data / "fastcbir"


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _tail(model: bytes) -> bytes:
    value = hashlib.sha256(model).hexdigest().encode()
    entry = b"\x0a" + bytes([len(_KEY)]) + _KEY + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry  # ModelProto field 14, length-delimited


def seal(model: bytes) -> bytes:
    """A serialized ONNX model, with the metadata entry that vouches for its bytes."""
    return model + _tail(model)


def unsealed(path: Path) -> bytes | None:
    """The whole content of a sealed file; None where it is absent, unreadable, cut short or changed."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    length = len(_tail(b""))
    return data if len(data) > length and _tail(data[:-length]) == data[-length:] else None


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """The sealed file `name` of the cache folder; made, and kept for the next time, where it is absent or
    damaged.

    Two processes that make the same file at once both succeed: each writes its own temporary file, and the
    last rename wins with an equally good one.

    Raises:
        ModelError: the cache folder can't be written, or what `make` raises.
    """
    path = cache_folder() / name
    data = unsealed(path)
    if data is None:
        data = seal(make())
        write_atomically(path, data)
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made.

    Raises:
        ModelError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise ModelError(
            f"can't keep the converted model in {path.parent}: {error.strerror or error}; "
            "set FASTCBIR_CACHE (and FASTCBIR_MODELS) to a folder that can be written"
        ) from error
