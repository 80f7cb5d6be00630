"""The harness's side of the worker processes: start, ask, stop; a death or a time-out is a clear error."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.protocol import Algorithm

__all__ = ["Worker", "WorkerError"]

ROOT = Path(__file__).parents[1]
ONE_THREAD_BY_DEFAULT = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class WorkerError(RuntimeError):
    """A worker process failed, died or took too long; the message says which and what it printed last."""


class Worker:
    """A process that holds one built algorithm. Use as a context manager or call stop()."""

    def __init__(self, algorithm: Algorithm, log: Path, threads: int) -> None:
        self.algorithm = algorithm
        self.log = log
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            **dict.fromkeys(ONE_THREAD_BY_DEFAULT, "1"),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        theirs.close()
        self._connection = Connection(ours.detach())
        self.ask("open", timeout=60, algorithm=algorithm)

    def ask(self, action: str, *, timeout: float, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            WorkerError: the adapter raised, the process died, or no answer came within `timeout` seconds.
        """
        name = self.algorithm.name
        try:
            self._connection.send({"do": action, **request})
            if not self._connection.poll(timeout):
                self.stop(kill=True)
                raise WorkerError(f"{name}: {action} took more than {timeout:.0f} s and was stopped")
            answer: dict[str, Any] = self._connection.recv()
        except (EOFError, ConnectionError, BrokenPipeError) as error:
            self.stop(kill=True)
            code = self._process.returncode
            raise WorkerError(
                f"{name}: the process died in {action} (exit {code}): {self._last_words()}"
            ) from error
        if "error" in answer:
            with self.log.open("a") as out:
                out.write(answer["trace"])
            raise WorkerError(f"{name}: {action}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it printed nothing"

    def stop(self, kill: bool = False) -> None:
        """End the process; safe to call twice."""
        if self._process.poll() is None:
            if kill:
                self._process.kill()
            else:
                try:
                    self._connection.send({"do": "stop"})
                    deadline = time.monotonic() + 10
                    while self._process.poll() is None and time.monotonic() < deadline:
                        time.sleep(0.01)
                except (OSError, ValueError):
                    pass
                if self._process.poll() is None:
                    self._process.kill()
            self._process.wait()
        self._connection.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop(kill=error is not None)
