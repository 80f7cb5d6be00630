"""Where the time of a stream of photos goes. Standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Times", "Timings"]


@dataclass(frozen=True)
class Times:
    """Seconds, summed over all streams of an extractor.

    Attributes:
        photos: that became vectors.
        read: of the threads, waiting for files and hashing them.
        decode, prepare: of the threads, computing: from JPEG to pixels; resizing and normalising.
        model: the network ran.
        waited: the network could not run, for no photo was ready.
        other: the caller worked on what it had been given (an album: its catalogue).
    """

    photos: int = 0
    read: float = 0.0
    decode: float = 0.0
    prepare: float = 0.0
    model: float = 0.0
    waited: float = 0.0
    other: float = 0.0

    @property
    def wall(self) -> float:
        """The stream's own time: model, waiting and the caller."""
        return self.model + self.waited + self.other

    @property
    def bound_by(self) -> str:
        """What would have to be quicker: "model", "files", "decoding" or "caller"."""
        if self.other > max(self.model, self.waited):
            return "caller"
        if self.model >= self.waited:
            return "model"
        return "files" if self.read > self.decode + self.prepare else "decoding"


class Timings:
    """Adds up Times from any number of threads; the cost is two clock readings a stage."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._sums: dict[str, float] = {}
        self._photos = 0

    @contextmanager
    def computing(self, stage: str) -> Iterator[None]:
        """Add this thread's own computing time to a stage."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.thread_time() - start)

    @contextmanager
    def lasting(self, stage: str) -> Iterator[None]:
        """Add the time that passes to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float, photos: int = 0) -> None:
        with self._guard:
            self._sums[stage] = self._sums.get(stage, 0.0) + seconds
            self._photos += photos

    def total(self) -> Times:
        """What was added so far."""
        with self._guard:
            return Times(self._photos, **self._sums)
