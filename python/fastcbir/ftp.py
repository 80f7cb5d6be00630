"""The FTP side of `download`: one file, from a byte on. Standard library only."""

from __future__ import annotations

import contextlib
import ftplib
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import unquote, urlsplit

__all__ = ["opened"]


@contextlib.contextmanager
def opened(
    url: str, have: int, kept: dict[str, Any] | None, timeout: float
) -> Iterator[tuple[IO[bytes], int, int | None, dict[str, Any]]]:
    """The body from byte `have`, or from the start where the file has changed; see `download`.

    Yields:
        the body, the byte it starts at, the size of the whole file or None, and what marks this version.

    Raises:
        OSError, EOFError: the connection or the server fails; ftplib's own errors count as OSError.
    """
    parts = urlsplit(url)
    try:
        with ftplib.FTP(timeout=timeout) as connection:
            connection.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
            connection.login(unquote(parts.username or ""), unquote(parts.password or ""))
            path = unquote(parts.path)
            connection.voidcmd("TYPE I")
            size = connection.size(path)
            modified = None
            # Not all servers tell the time of change; the size alone then marks the version.
            with contextlib.suppress(ftplib.error_perm):
                modified = connection.voidcmd(f"MDTM {path}")
            marks = {"modified": modified, "whole": size}
            same = kept is not None and all(kept.get(key) == value for key, value in marks.items())
            start = have if same else 0
            with (
                connection.transfercmd(f"RETR {path}", rest=start or None) as data,
                data.makefile("rb") as body,
            ):
                yield body, start, size, marks
    except ftplib.Error as error:
        raise OSError(f"the FTP server answered {error}") from error
