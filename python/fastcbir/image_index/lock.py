"""One writer at a time, across processes: a lock file under an operating-system lock, which dies with its
holder.

The file itself stays for ever (deleting it would let two processes lock two different files of one name);
only the lock on it counts. Its text says who holds it, for the message to whoever has to wait.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from fastcbir.errors import AlbumLockedError

__all__ = ["WriterLock"]

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    _FAR_BYTE = (
        1 << 30
    )  # Windows locks are mandatory: lock a byte beyond the text, which others must be able to read

    def _try_lock(stream: IO[str]) -> None:
        stream.seek(_FAR_BYTE)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(stream: IO[str]) -> None:
        stream.seek(_FAR_BYTE)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(stream: IO[str]) -> None:
        # flock, not lockf: it belongs to the open file, so a second thread of this process is kept out as
        # well, and closing some other handle of the file does not drop it.
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(stream: IO[str]) -> None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_UN)


class WriterLock:
    """`with WriterLock(path):` holds the lock; if it is taken, raises AlbumLockedError naming the holder.

    Args:
        path: the lock file; made when absent.
        patience_s: how long to keep trying, in seconds, for the short locks of a repair on opening.
    """

    def __init__(self, path: Path, *, patience_s: float = 1.0) -> None:
        self.path = path
        self.patience_s = patience_s
        self._stream: IO[str] | None = None

    def __enter__(self) -> WriterLock:
        stream = self.path.open("a+", encoding="utf-8")
        try:
            self._wait(stream)
            stream.seek(0)
            stream.truncate()
            json.dump(
                {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}, stream
            )
            stream.flush()
        except OSError as error:
            # A full disk can't take the text, but the lock itself holds: go on, the caller will meet the disk
            # anyway.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                stream.close()
                raise
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stream, self._stream = self._stream, None
        assert stream is not None, "left a lock that was not entered"
        try:
            _unlock(stream)
        finally:
            stream.close()

    def _wait(self, stream: IO[str]) -> None:
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                _try_lock(stream)
                return
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
                if time.monotonic() >= deadline:
                    raise AlbumLockedError(self._taken()) from None
                time.sleep(0.02)

    def _taken(self) -> str:
        try:
            holder = json.loads(self.path.read_text(encoding="utf-8"))
            pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        else:
            own = pid == os.getpid() and host == socket.gethostname()
            kind = "another thread of this process" if own else "another process"
            who = f"{kind} (pid {pid} on {host}, since {since})"
        return (
            f"{who} is writing to {self.path.parent}; an album has one writer at a time: wait until it has "
            "finished or stop it. Searching stays possible meanwhile"
        )
