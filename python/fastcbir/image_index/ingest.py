"""Carry out a plan: hash what may be known, extract the rest, and commit as it goes.

Commits come every 64 photos or every second, so that a kill costs at most that, and what is committed is
complete in itself; the next add finds the rest by the same comparison of disk and catalogue. Nothing here
holds a position that could be lost.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from fastcbir.extract.results import Failure, Photo
from fastcbir.image_index.batch import Batch
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.extracting import PhotoExtractor
from fastcbir.image_index.plan import Plan
from fastcbir.image_index.results import AddProgress, AddReport, Progress
from fastcbir.image_index.walk import FoundFile, is_gone, look_at, reason_of

__all__ = ["BATCH_PHOTOS", "BATCH_SECONDS", "Ingest"]

BATCH_PHOTOS = 64
BATCH_SECONDS = 1.0
_HASH_THREADS = 4  # hashing waits for the disk, and releases the interpreter while it computes
_HASH_AHEAD = 64
_CHUNK_BYTES = 1 << 20

Step = Callable[[Batch], object]


class Ingest:
    """One run over one plan; `run()` once.

    Args:
        catalogue: written to; the caller holds the writer's lock.
        extractor: gives the extractor, when there is something to extract.
        plan: what to do.
        report: counts are added to it as they are decided.
        progress: told of each file, or None.
        committed: called after each commit.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        extractor: Callable[[], PhotoExtractor],
        plan: Plan,
        report: AddReport,
        progress: Progress | None,
        committed: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._extractor = extractor
        self._plan = plan
        self._report = report
        self._progress = progress
        self._committed = committed
        self._total = len(plan.hash_first) + len(plan.extract)
        self._done = 0
        self._failed = len(plan.failed)
        self._steps: list[Step] = []
        self._flushed_at = time.monotonic()
        self._copies: dict[str, list[tuple[FoundFile, bytes]]] = {}  # by the path of the first of equal files
        self.taken: set[str] = set()
        """Old paths of the photos that were found to have moved."""

    def run(self) -> None:
        """Do it all. An exception, Ctrl-C included, is passed on once what was finished is committed."""
        try:
            fresh = self._hash(self._plan.hash_first)
            queue = fresh + self._plan.extract
            while queue:
                queue = self._extract(queue)
        except BaseException:
            with suppress(Exception):  # what stopped the run is what is worth telling
                self._flush()
            raise
        self._flush()

    # --- files that may be known ----------------------------------------------------------------------------

    def _hash(self, files: list[FoundFile]) -> list[FoundFile]:
        """Settle those whose content is known; returns one file of each new content, and notes its copies."""
        first: dict[bytes, str] = {}
        fresh: list[FoundFile] = []
        for file, outcome in _hashed(files):
            if isinstance(outcome, Failure):
                self._fail(file, outcome.reason, transient=True)
            elif outcome is None:  # it changes under our eyes: the extractor reads it whole, or says why not
                fresh.append(file)
            elif self._settle(file, outcome):
                pass
            elif outcome in first:
                self._copies[first[outcome]].append((file, outcome))
            else:
                first[outcome] = file.path
                self._copies[file.path] = []
                fresh.append(file)
        self._flush()
        return fresh

    def _settle(self, file: FoundFile, content_hash: bytes) -> bool:
        """Whether the catalogue has this content; if so, what that makes of the file is decided."""
        with self._catalogue.reading() as snapshot:
            content = snapshot.content_with_hash(content_hash)
            if content is None:
                return False
            owners = snapshot.paths_of(content)
        if file.path in owners:
            self._touch(file, content_hash)
        elif (old := self._left_behind(owners, file.path)) is not None:
            self._move(old, file, content_hash)
        else:
            self._share(file, content_hash)
        return True

    def _touch(self, file: FoundFile, content_hash: bytes) -> None:
        self._report.unchanged += 1
        self._add_step(lambda batch: batch.share(file, content_hash), file.path)

    def _move(self, old_path: str, file: FoundFile, content_hash: bytes) -> None:
        self.taken.add(old_path)
        self._report.moved += 1
        self._add_step(lambda batch: batch.move(old_path, file, content_hash), file.path)

    def _left_behind(self, owners: list[str], new_path: str) -> str | None:
        """The photo of this content that has gone from its path; of several, rather one of the same name."""
        gone = [path for path in owners if path not in self.taken and is_gone(path)]
        name = os.path.basename(new_path)  # noqa: PTH119
        return min(gone, key=lambda path: (os.path.basename(path) != name, path), default=None)  # noqa: PTH119

    # --- files that are new ---------------------------------------------------------------------------------

    def _extract(self, files: list[FoundFile]) -> list[FoundFile]:
        """Run the extractor over files; returns those to do next: copies that turned out to be none."""
        again: list[FoundFile] = []
        waiting = {Path(file.path): file for file in files}
        extractor = self._extractor()
        results = extractor.stream(list(waiting))
        try:
            for result in results:
                file = waiting.pop(result.path, None)
                if file is not None:
                    again += self._take(file, result, extractor.dim)
        finally:
            # The threads of a generator must end before the writer's lock is given up.
            stop = getattr(results, "close", None)
            if stop is not None:
                stop()
        for file in waiting.values():
            self._fail(file, f"the extractor {extractor.name} gave no answer for it", transient=True)
        return again

    def _take(self, file: FoundFile, result: Photo | Failure, dim: int) -> list[FoundFile]:
        """Record one result, and the copies of that file; returns the copies that turned out to be none."""
        copies = self._copies.pop(file.path, [])
        reason = result.reason if isinstance(result, Failure) else _what_is_wrong(result, dim)
        if isinstance(result, Failure) or reason is not None:
            read = _hash_file(file)
            self._fail(file, reason or "", transient=not isinstance(read, bytes))
            for copy, content_hash in copies:
                if content_hash == read:
                    self._fail(copy, reason or "")
            return [copy for copy, content_hash in copies if content_hash != read]
        self._put(file.path, result)
        same = bytes.fromhex(result.content_hash)
        for copy, content_hash in copies:
            if content_hash == same:
                self._share(copy, content_hash)
        return [copy for copy, content_hash in copies if content_hash != same]

    def _put(self, path: str, photo: Photo) -> None:
        self._count_new(path)
        self._add_step(lambda batch: batch.put(path, photo), path)

    def _share(self, file: FoundFile, content_hash: bytes) -> None:
        self._count_new(file.path)
        self._add_step(lambda batch: batch.share(file, content_hash), file.path)

    def _count_new(self, path: str) -> None:
        if path in self._plan.known:
            self._report.updated += 1
        else:
            self._report.added += 1

    def _fail(self, file: FoundFile, reason: str, *, transient: bool = False) -> None:
        """Record a file that can't be used: for good, or (`transient`) as it can't be read now or changes."""
        self._report.failed.append(Failure(Path(file.path), reason))
        self._failed += 1
        self._add_step(lambda batch: batch.fail(file.path, reason, file, transient=transient), file.path)

    # --- commits and progress -------------------------------------------------------------------------------

    def _add_step(self, step: Step, path: str) -> None:
        self._steps.append(step)
        self._done += 1
        if len(self._steps) >= BATCH_PHOTOS or time.monotonic() - self._flushed_at >= BATCH_SECONDS:
            self._flush()
        if self._progress is not None:
            self._progress(AddProgress("read", self._done, self._total, self._failed, Path(path)))

    def _flush(self) -> None:
        if self._steps:
            with self._catalogue.writing() as batch:
                for step in self._steps:
                    step(batch)
            self._steps = []
            self._committed()
        self._flushed_at = time.monotonic()


def _what_is_wrong(photo: Photo, dim: int) -> str | None:
    """An extractor's slip must not get into the catalogue: None, or what the vector should have been."""
    vector = photo.vector
    if vector.shape != (dim,):
        return f"the extractor gave a vector of shape {vector.shape}, expected ({dim},)"
    if not np.isfinite(vector).all():
        return "the extractor gave a vector that is not finite"
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if abs(length - 1) > 1e-3:
        return f"the extractor gave a vector of length {length:.4g}, expected 1"
    return None


def _hashed(files: list[FoundFile]) -> Iterator[tuple[FoundFile, bytes | Failure | None]]:
    """SHA-256 of each file, in order; read by a few threads, a bounded number of files ahead."""
    with ThreadPoolExecutor(_HASH_THREADS, thread_name_prefix="fastcbir-hash") as pool:
        for start in range(0, len(files), _HASH_AHEAD):
            chunk = files[start : start + _HASH_AHEAD]
            yield from zip(chunk, pool.map(_hash_file, chunk), strict=True)


def _hash_file(file: FoundFile) -> bytes | Failure | None:
    """The SHA-256 of its bytes (32 bytes); None if it is not what the walk saw; Failure if unreadable."""
    digest = hashlib.sha256()
    try:
        with open(file.path, "rb") as stream:  # noqa: PTH123
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        return Failure(Path(file.path), f"the file can't be read ({reason_of(error)})")
    return digest.digest() if look_at(file.path) == file else None
