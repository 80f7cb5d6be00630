"""Promise: searches may run beside anything; changes exclude each other; Ctrl-C leaves a usable index."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from reference import make_vectors

import fastcbir as fc


def run_all(*work: Callable[[], object]) -> None:
    """Each in a thread of its own; the first exception of any is raised."""
    errors: list[BaseException] = []

    def guarded(task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw()])
def test_many_threads_search_at_once(method: fc.Flat | fc.Hnsw) -> None:
    vectors = make_vectors(3000, 16, "float32", 1)
    index = fc.Index(16, method)
    index.add(vectors)
    expected = index.search(vectors[:200], k=5)

    def search() -> None:
        for i in range(200):
            np.testing.assert_array_equal(index.search(vectors[i], k=5).ids[0], expected.ids[i])

    run_all(*[search] * 6)


@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw(m=6, ef_construction=30)])
def test_searches_beside_changes(method: fc.Flat | fc.Hnsw) -> None:
    vectors = make_vectors(30_000, 8, "float32", 2)
    index = fc.Index(8, method)
    index.add(vectors[:1000])
    index.remove(np.arange(0, 100))
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            hits = index.search(vectors[500:520], k=10)
            assert (hits.ids[:, 0] >= 100).all()
            assert (np.diff(hits.distances, axis=1) >= 0).all()
            assert 900 <= len(index) <= 30_000

    def change() -> None:
        try:
            index.add(vectors[1000:20_000])
            index.update(vectors[20_000:20_500], np.arange(200, 700))
            index.remove(np.arange(5000, 6000))
            index.compact()
        finally:
            done.set()

    run_all(search, search, change)
    assert len(index) == 20_000 - 100 - 1000


def test_two_adds_queue() -> None:
    vectors = make_vectors(10_000, 8, "float32", 3)
    index = fc.Index(8, fc.Hnsw(m=6, ef_construction=30))
    run_all(lambda: index.add(vectors[:5000]), lambda: index.add(vectors[5000:]))
    assert sorted(index.ids.tolist()) == list(range(10_000))
    found = index.search(vectors, k=1, ef=50)
    assert (found.distances[:, 0] == 0).mean() > 0.98


def test_progress_is_reported_and_cancels() -> None:
    vectors = make_vectors(40_000, 16, "float32", 4)
    index = fc.Index(16, fc.Hnsw())
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done > 5000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        index.add(vectors, progress=stop)
    assert [total for _, total in seen] == [40_000] * len(seen)
    assert sorted(seen) == seen
    kept = len(index)
    assert 5000 <= kept < 40_000
    np.testing.assert_array_equal(index.reconstruct([kept - 1]), vectors[kept - 1 : kept])
    index.add(vectors[kept:], np.arange(kept, 40_000))
    found = index.search(vectors[:2000], k=1, ef=60)
    assert (found.ids[:, 0] == np.arange(2000)).mean() > 0.98


def test_cancelled_changes_leave_what_they_promise() -> None:
    vectors = make_vectors(40_000, 16, "float32", 5)
    index = fc.Index(16, fc.Hnsw(m=8, ef_construction=40))
    index.add(vectors)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.update(-vectors, np.arange(40_000), progress=stop)
    assert len(index) == 40_000
    now = index.reconstruct(np.arange(40_000))
    changed = (now == -vectors).all(1)
    np.testing.assert_array_equal(now[~changed], vectors[~changed])
    assert 0 < changed.sum() < 40_000
    index.remove(np.arange(0, 40_000, 3))
    with pytest.raises(KeyboardInterrupt):
        index.compact(progress=stop)
    kept = np.setdiff1d(np.arange(40_000), np.arange(0, 40_000, 3))
    np.testing.assert_array_equal(index.reconstruct(kept), now[kept])
    index.compact()
    np.testing.assert_array_equal(index.reconstruct(kept), now[kept])


def test_filling_lists_of_links_can_be_cancelled() -> None:
    """An add of codes ends with a second look at all links; who cancels that has the vectors all the same."""
    vectors = make_vectors(20_000, 24, "float32", 5)
    index = fc.Index(24, fc.Hnsw(m=16, ef_construction=40, codec="rabitq2"))
    told = []

    def stop(done: int, total: int) -> None:
        assert total > 20_000
        told.append(done)
        if done > 20_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add(vectors, progress=stop)
    assert told == sorted(told) and 20_000 < told[-1] < 40_000
    assert len(index) == 20_000
    found = index.search(vectors[:1000], k=1, ef=60)
    assert (found.ids[:, 0] == np.arange(1000)).mean() > 0.98
    index.add(vectors[:10])
    assert len(index) == 20_010


def test_an_index_is_not_used_from_its_own_callback() -> None:
    vectors = make_vectors(20_000, 32, "float32", 6)
    index = fc.Index(32)
    with pytest.raises(RuntimeError, match="own progress callback"):
        index.add(vectors, progress=lambda done, total: len(index))
    assert len(index) < 20_000
    flat = fc.Index(32, fc.Flat())
    flat.add(vectors)
    queries = make_vectors(20_000, 32, "float32", 7)
    with pytest.raises(RuntimeError, match="own progress callback"):
        flat.search(queries, k=1, progress=lambda done, total: len(flat))
    assert len(flat) == 20_000


INTERRUPTED = """
import os, signal, threading, time
import numpy as np, fastcbir as fc
vectors = np.random.default_rng(0).standard_normal((WORK, 64), dtype=np.float32)
index = fc.Index(64, METHOD)
SETUP
threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.monotonic()
try:
    CALL
except KeyboardInterrupt:
    print("interrupted")
print("usable", index.search(vectors[0], k=1).ids[0, 0], time.monotonic() - start < 20)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("work", "method", "setup", "call"),
    [
        ("400_000", "fc.Hnsw()", "", "index.add(vectors)"),
        ("100_000", "fc.Flat()", "index.add(vectors)", "index.search(vectors, k=100)"),
    ],
)
def test_ctrl_c(work: str, method: str, setup: str, call: str) -> None:
    script = INTERRUPTED
    for name, value in (("WORK", work), ("METHOD", method), ("SETUP", setup), ("CALL", call)):
        script = script.replace(name, value)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["interrupted", "usable", "0", "True"], done.stdout + done.stderr


def test_the_gil_is_free_during_long_calls() -> None:
    vectors = make_vectors(60_000, 64, "float32", 8)
    index = fc.Index(64, fc.Flat())
    index.add(vectors)
    ticks = 0
    done = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.wait(0.002):
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    start = time.monotonic()
    index.search(vectors[:4000], k=1, threads=1)
    seconds = time.monotonic() - start
    done.set()
    thread.join()
    assert ticks > 0.02 * seconds / 0.002


@pytest.mark.parametrize("isa", fc.available_isas())
def test_each_instruction_set_can_be_forced(isa: str) -> None:
    script = "import fastcbir as fc; print(fc.isa())"
    environment = {**os.environ, "FASTCBIR_ISA": isa}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == isa


def test_an_unknown_instruction_set_is_refused() -> None:
    script = "import fastcbir as fc; fc.Index(3)"
    environment = {**os.environ, "FASTCBIR_ISA": "mmx"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "mmx" in done.stderr and "scalar" in done.stderr
