"""Paths in, photos out: threads read, decode and resize ahead, so that the model is never kept waiting.

The consumer's thread pulls paths, gathers prepared photos into batches of one shape and runs the model; a
fixed number of photos is on the way at any time, and memory is bounded by that. The model runs as soon as a
batch is full, or on the largest incomplete one when nothing else is ready.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt

from fastcbir.extract.decode import MAX_FILE_BYTES, DecodeError, check_regular, decode, unreadable
from fastcbir.extract.preprocess import Preparer
from fastcbir.extract.results import Failure, Photo
from fastcbir.extract.timings import Timings

__all__ = ["stream"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A photo that waits for the model."""

    path: Path
    pixels: Vectors  # (3, H, W)
    width: int
    height: int
    captured_at: datetime | None
    content_hash: str
    size: int
    mtime_ns: int

    def photo(self, vector: Vectors) -> Photo:
        return Photo(
            self.path,
            vector.copy(),  # a view would keep the whole batch alive
            self.width,
            self.height,
            self.captured_at,
            self.content_hash,
            self.size,
            self.mtime_ns,
        )


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    """All bytes of a file, and its stat, which was the same before and after.

    Raises:
        DecodeError: it changed while it was read, twice in a row, or is no file to be read.
        OSError: it can't be opened or read.
    """
    for _ in range(2):
        if "\0" in str(path):
            raise DecodeError("the path holds a zero byte")
        before = path.stat()
        check_regular(before)
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        after = path.stat()
        if _state(before) == _state(after) and len(data) == after.st_size:
            return data, after
    raise DecodeError("the file changed while it was read")


def _prepare(path: Path, preparer: Preparer, timings: Timings) -> _Prepared | Failure:
    try:
        with timings.lasting("read"):
            data, status = _read(path)
            digest = hashlib.sha256(data).hexdigest()
        rule = preparer.rule
        with timings.computing("decode"):
            decoded = decode(data, rule.decode_target, shortest=rule.fit != "longest")
        with timings.computing("prepare"):
            pixels = preparer(decoded.image, decoded.width, decoded.height)
    except DecodeError as error:
        return Failure(path, str(error))
    except OSError as error:
        return Failure(path, unreadable(error))
    except MemoryError:
        return Failure(path, "there is not enough memory to read and decode it")
    return _Prepared(
        path,
        pixels,
        decoded.width,
        decoded.height,
        decoded.captured_at,
        digest,
        status.st_size,
        status.st_mtime_ns,
    )


def _handed(results: Sequence[Photo | Failure], timings: Timings) -> Iterator[Photo | Failure]:
    """Hand results out; the time until the next one is asked for is the caller's."""
    for result in results:
        with timings.lasting("other"):
            yield result


def stream(
    paths: Iterable[str | os.PathLike[str]],
    preparer: Preparer,
    model: Callable[[Vectors], Vectors],
    *,
    workers: int,
    batch: int,
    timings: Timings,
) -> Iterator[Photo | Failure]:
    """Yield a Photo or a Failure for each path, exactly once, in any order.

    `paths` is pulled in the caller's thread, and no further ahead than the window of photos on the way, so
    it may be a generator. Closing the iterator, or any exception, stops the threads: what they are decoding
    is finished and dropped, the rest is never begun.

    Args:
        preparer: makes the model's input.
        model: (N, 3, H, W) float32 -> (N, dim) float32, L2-normalised.
        workers: threads that read and decode.
        batch: photos a model run, at most.
        timings: where the time goes is added there.
    """
    ready: SimpleQueue[_Prepared | Failure | BaseException] = SimpleQueue()
    stopping = threading.Event()

    def work(path: Path) -> None:
        if stopping.is_set():
            return
        try:
            ready.put(_prepare(path, preparer, timings))
        except BaseException as error:  # a bug, or the interpreter going down: not one file's business
            ready.put(error)

    # Enough on the way that every worker stays busy while the model runs and a batch of another shape
    # gathers.
    window = 2 * workers + 2 * batch
    waiting: dict[tuple[int, ...], list[_Prepared]] = defaultdict(list)
    source = iter(paths)
    exhausted = False
    decoding = 0  # handed to the workers, not yet taken from `ready`
    gathered = 0  # in `waiting`

    def run(shape: tuple[int, ...]) -> list[Photo]:
        photos = waiting.pop(shape)
        with timings.lasting("model"):
            vectors = model(np.stack([photo.pixels for photo in photos]))
        timings.add("model", 0.0, len(photos))
        return [photo.photo(vector) for photo, vector in zip(photos, vectors, strict=True)]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastcbir-decode")
    try:
        while True:
            while not exhausted and decoding + gathered < window:
                try:
                    path = Path(next(source))
                except StopIteration:
                    exhausted = True
                    break
                pool.submit(work, path)
                decoding += 1
            if not decoding and not gathered:
                return
            done: _Prepared | Failure | BaseException | None = None
            with contextlib.suppress(Empty), timings.lasting("waited"):
                # Wait only if there is nothing that the model could do instead.
                done = ready.get(block=not gathered) if decoding else None
            if done is None:
                fullest = max(waiting, key=lambda shape: len(waiting[shape]))
                gathered -= len(waiting[fullest])
                yield from _handed(run(fullest), timings)
                continue
            decoding -= 1
            if isinstance(done, BaseException):
                raise done
            if isinstance(done, Failure):
                yield from _handed([done], timings)
                continue
            waiting[done.pixels.shape].append(done)
            gathered += 1
            if len(waiting[done.pixels.shape]) == batch:
                gathered -= batch
                yield from _handed(run(done.pixels.shape), timings)
    finally:
        stopping.set()
        pool.shutdown(wait=True, cancel_futures=True)
