"""Promise: a stream of photos tells where its time went, and the command prints it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("PIL")
from album_helpers import write_photos

from fastcbir.cli.indexing import told
from fastcbir.extract import load_extractor
from fastcbir.extract.timings import Times


def test_a_stream_adds_up(tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 9)
    extractor = load_extractor("color-layout", threads=1)
    assert extractor.timings.total() == Times()
    started = time.perf_counter()
    for _ in extractor.stream([*paths, tmp_path / "missing.png"]):
        time.sleep(0.002)
    wall = time.perf_counter() - started
    times = extractor.timings.total()
    assert times.photos == 9
    assert min(times.read, times.decode, times.prepare, times.model) > 0
    assert times.other >= 10 * 0.002
    assert times.wall <= wall


@pytest.mark.parametrize(
    ("times", "bound"),
    [
        (Times(1, model=3, waited=1), "model"),
        (Times(1, model=1, waited=3, read=1, decode=1, prepare=1), "decoding"),
        (Times(1, model=1, waited=3, read=3, decode=1, prepare=1), "files"),
        (Times(1, model=1, waited=1, other=2), "caller"),
    ],
)
def test_what_it_is_bound_by(times: Times, bound: str) -> None:
    assert times.bound_by == bound
    assert f"bound by: {bound}" in told(times)[0]


def test_no_photo() -> None:
    assert told(Times()) == ["No photo was read, so there is nothing to tell of its time."]
