"""Files from the network: resumed where they stopped, checked, and put in place only when whole.

While a file comes in it is called NAME.part, and NAME.part.json says which version of it that is, so that a
later run asks the server for the rest of the same version. The checksum is compared with the pinned one;
where none is pinned, the first download writes it to NAME.sha256 and a later one must match it.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from fastcbir import ftp

__all__ = ["DownloadError", "download"]

_BLOCK = 1 << 20
_AGAIN = "run the same again to resume where it stopped"


class DownloadError(OSError):
    """A file can't be had: the server refuses, the connection broke, or what came isn't what was promised."""


def download(
    url: str,
    target: str | Path,
    *,
    sha256: str | None = None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout: float = 60.0,
) -> Path:
    """Fetch `url` to `target` unless it is there.

    Args:
        url: http, https or ftp.
        target: where the file shall lie; its folder is made.
        sha256: what its bytes must hash to, as hex; None where nobody has pinned it.
        max_bytes: only the first so many bytes (of a billion-scale file).
        progress: called with the bytes there and the bytes in all (0 where the server doesn't say); raising
            in it stops the download, which can be resumed.
        timeout: seconds without an answer after which the connection counts as lost.

    Returns:
        `target`.

    Raises:
        DownloadError: the server answers with an error, the connection breaks or the file arrives incomplete
            (what came is kept and resumed), the checksum is wrong (what came is deleted), another process
            is downloading the same, or the disk has too little room.
    """
    target = Path(target)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with _locked(part, target) as file:
        if target.exists():
            return target
        total = _fetch(url, file, _Version(part), max_bytes, progress, timeout)
        size = file.seek(0, os.SEEK_END)
        if total is not None and size != total:
            raise DownloadError(f"{url}: {size} of {total} bytes came before the connection ended; {_AGAIN}")
        file.flush()
        os.fsync(file.fileno())
        _check(url, file, target, sha256, part)
    try:
        part.replace(target)
    except FileNotFoundError:
        # Another process found the same whole .part and was quicker.
        if not target.exists():
            raise
    _Version(part).forget()
    return target


class _Version:
    """Which version of the file a .part belongs to, as its server told."""

    def __init__(self, part: Path) -> None:
        self._path = part.with_name(f"{part.name}.json")

    def recall(self, url: str) -> dict[str, Any] | None:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) and kept.get("url") == url else None

    def keep(self, **version: Any) -> None:
        self._path.write_text(json.dumps(version), encoding="utf-8")

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def _fetch(
    url: str,
    file: IO[bytes],
    version: _Version,
    max_bytes: int | None,
    progress: Callable[[int, int], None] | None,
    timeout: float,
) -> int | None:
    """Bring `file` to its full length; returns what that is, or None where the server doesn't say."""
    have = file.seek(0, os.SEEK_END)
    kept = version.recall(url) if have else None
    if kept is None or (max_bytes is not None and have > max_bytes):
        have = _restart(file)
    if kept is not None and have and have == kept.get("total") and kept.get("max_bytes") == max_bytes:
        return have
    try:
        with _open(url, have, kept, max_bytes, timeout) as (body, start, whole, validator):
            if start != have:
                # The server sends all of it: it knows no ranges, or the file has changed since.
                have = _restart(file)
            total = whole if max_bytes is None or whole is None else min(whole, max_bytes)
            if total is not None:
                _check_room(url, Path(file.name), total - have)
            version.keep(url=url, total=total, max_bytes=max_bytes, **validator)
            limit = total if total is not None else max_bytes
            while limit is None or have < limit:
                block = body.read(_BLOCK if limit is None else min(_BLOCK, limit - have))
                if not block:
                    break
                file.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, total or 0)
            return total
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from error
    except (OSError, EOFError, http.client.HTTPException) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{url}: broke off after {have} bytes ({error}); {_AGAIN}") from error


_Answer = tuple[IO[bytes], int, "int | None", dict[str, Any]]


@contextlib.contextmanager
def _open(
    url: str, have: int, kept: dict[str, Any] | None, max_bytes: int | None, timeout: float
) -> Iterator[_Answer]:
    """The body from byte `have` or from the start, where it starts, the whole size, the version's marks."""
    if url.startswith("ftp:"):
        with ftp.opened(url, have, kept, timeout) as answer:
            yield answer
        return
    request = urllib.request.Request(url, headers={"User-Agent": "fastcbir", "Accept-Encoding": "identity"})
    if have or max_bytes is not None:
        request.add_header("Range", f"bytes={have}-{'' if max_bytes is None else max_bytes - 1}")
    if have and kept is not None and (mark := kept.get("etag") or kept.get("modified")):
        request.add_header("If-Range", mark)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # The server's file ends before the range: it has changed, so all of it is fetched anew.
        error.close()
        with _open(url, 0, None, max_bytes, timeout) as answer:
            yield answer
        return
    with response:
        etag = response.headers.get("ETag", "")
        # If-Range takes strong tags only.
        validator = {
            "etag": None if etag.startswith("W/") else etag or None,
            "modified": response.headers.get("Last-Modified"),
        }
        if response.status != 206:
            yield response, 0, _whole(response.headers.get("Content-Length")), validator
            return
        unit, _, span = response.headers.get("Content-Range", "").partition(" ")
        start, _, whole = span.partition("/")
        begin = _whole(start.partition("-")[0])
        changed = bool(have) and kept is not None and kept.get("whole") not in (None, _whole(whole))
        if unit != "bytes" or begin != have or changed:
            response.close()
            if not have:
                raise DownloadError(f"{url}: asked for bytes from 0 on, the server sent {unit} {span!r}")
            with _open(url, 0, None, max_bytes, timeout) as answer:
                yield answer
            return
        yield response, have, _whole(whole), {**validator, "whole": _whole(whole)}


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _restart(file: IO[bytes]) -> int:
    file.seek(0)
    file.truncate()
    return 0


def _check_room(url: str, part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadError(f"{url}: {needed} more bytes are needed but {part.parent} has {free} free")


def _check(url: str, file: IO[bytes], target: Path, pinned: str | None, part: Path) -> None:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    found = digest.hexdigest()
    sidecar = target.with_name(f"{target.name}.sha256")
    expected = pinned
    if expected is None and sidecar.is_file():
        expected = sidecar.read_text(encoding="utf-8").partition(" ")[0].strip()
    if expected is not None and found != expected.lower():
        _restart(file)
        _Version(part).forget()
        told = (
            "pinned" if pinned else f"recorded in {sidecar} by an earlier download; delete that to accept it"
        )
        raise DownloadError(f"{url}: its sha256 should be {expected} ({told}) but is {found}; it was deleted")
    if not sidecar.is_file():
        sidecar.write_text(f"{found}  {target.name}\n", encoding="utf-8")


@contextlib.contextmanager
def _locked(part: Path, target: Path) -> Iterator[IO[bytes]]:
    """The .part file, open for reading and appending, and nobody else's."""
    with part.open("a+b") as file:
        # Windows has no flock; two downloads of one file at once aren't told apart there.
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DownloadError(f"{target}: another process is downloading it; wait for that") from error
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):
                if file.seek(0, os.SEEK_END) == 0:
                    part.unlink()
