"""The process one algorithm lives in: builds its index, then runs timed passes. Started by workers.py.

    python -m benchmarks.worker FD      requests and answers are pickled dictionaries over the socket FD

One process per algorithm because OpenMP run-times clash, and because memory is read as growth of the process.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import process
from benchmarks.protocol import Adapter, Algorithm, Params

__all__ = ["Session", "serve"]


def _loaded(path: str, as_stored: bool) -> NDArray[Any]:
    array = np.load(path)
    return np.ascontiguousarray(array if as_stored else array.astype(np.float32, copy=False))


def _padded(found: Any, k: int, size: int) -> NDArray[np.int64]:
    """Up to k ids as exactly k; -1 where the algorithm found fewer, whatever it marks them with."""
    ids = np.full(k, -1, np.int64)
    row = np.asarray(found).reshape(-1)[:k].astype(np.int64)
    ids[: len(row)] = np.where((row >= 0) & (row < size), row, -1)
    return ids


class Session:
    """One algorithm, built once and then measured many times."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.adapter: Adapter | None = None
        self.queries: NDArray[Any] = np.empty((0, 0), np.float32)
        self.size = 0

    def build(self, base: str, queries: str, metric: str, cores: list[int]) -> dict[str, Any]:
        """Build the index of the .npy file `base` on these cores; seconds and bytes of memory."""
        process.pin(cores)
        as_stored = self.algorithm.dtypes is not None
        adapter = self.algorithm.create()
        self.queries = _loaded(queries, as_stored)
        process.settle()
        before = process.resident_bytes()
        vectors = _loaded(base, as_stored)
        self.size, vector_bytes = len(vectors), vectors.nbytes
        process.reset_peak()
        start, start_cpu = time.perf_counter(), time.process_time()
        adapter.build(vectors, metric, len(cores))
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        peak = process.resident_peak_bytes()
        del vectors  # what the library keeps of the caller's array stays and is counted
        process.settle()
        after = process.resident_bytes()
        self.adapter = adapter
        told = getattr(adapter, "index_bytes", None)
        return {
            "threads": len(cores),
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,  # of all threads: what remains comparable when others use the machine
            "memory_bytes": None if before is None or after is None else after - before,
            "peak_bytes": None if before is None or peak is None else max(0, peak - before - vector_bytes),
            "reported_bytes": int(told()) if callable(told) else None,
        }

    def run(
        self,
        params: Params,
        k: int,
        mode: str,
        core: int,
        count: int | None,
        max_seconds: float,
        warm_up: int,
    ) -> dict[str, Any]:
        """One pass over `count` queries (None: what fits max_seconds, at least 50); ids and nanoseconds."""
        assert self.adapter is not None
        process.pin([core])
        self.adapter.set_query_params(**params)
        each = self._warm_up(k, warm_up, max_seconds / 4)
        if count is None:
            count = min(len(self.queries), max(50, int(max_seconds / max(each, 1e-9))))
        gc.collect()
        gc.disable()
        try:
            timed = self._one_by_one if mode == "single" else self._at_once
            return {"count": count, **timed(count, k)}
        finally:
            gc.enable()

    def _warm_up(self, k: int, count: int, seconds: float) -> float:
        """Up to `count` queries and `seconds`, whichever ends first; the seconds one query took."""
        assert self.adapter is not None
        start = time.perf_counter()
        done = 0
        for row in list(self.queries[: max(1, count)]):
            self.adapter.query(row, k)
            done += 1
            if time.perf_counter() - start > seconds:
                break
        return (time.perf_counter() - start) / done

    def _one_by_one(self, count: int, k: int) -> dict[str, Any]:
        assert self.adapter is not None
        rows, query, clock = list(self.queries[:count]), self.adapter.query, time.perf_counter_ns
        found: list[Any] = [None] * count
        times = [0] * count
        for i, row in enumerate(rows):
            start = clock()
            found[i] = query(row, k)
            times[i] = clock() - start
        ids = np.stack([_padded(row, k, self.size) for row in found])
        return {"ids": ids, "times_ns": np.array(times, np.int64), "total_ns": sum(times)}

    def _at_once(self, count: int, k: int) -> dict[str, Any]:
        assert self.adapter is not None
        queries = self.queries[:count]
        start = time.perf_counter_ns()
        found = self.adapter.batch_query(queries, k)
        total = time.perf_counter_ns() - start
        return {
            "ids": np.stack([_padded(row, k, self.size) for row in found]),
            "times_ns": None,
            "total_ns": total,
        }


def serve(connection: Connection) -> None:
    """Answer requests until told to stop or the harness goes away."""
    session: Session | None = None
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        action = request.pop("do")
        if action == "stop":
            return
        try:
            if action == "open":
                session = Session(request["algorithm"])
                answer: dict[str, Any] = {}
            else:
                assert session is not None
                answer = session.build(**request) if action == "build" else session.run(**request)
        except (
            Exception
        ) as error:  # any failure of a library is a finding for the harness, not the end of the run
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        connection.send(answer)


if __name__ == "__main__":
    process.end_with_parent()
    serve(Connection(int(sys.argv[1])))
