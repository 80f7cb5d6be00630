"""Promise: Ctrl-C, kill -9 and a full disk cost at most a batch; what was committed stays; add() goes on."""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, complete, holds, picture, wait_for, write_photo, write_photos

from fastcbir.errors import FormatError
from fastcbir.image_index import AddProgress, ImageIndex

TESTS = Path(__file__).parent


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, tiny: TinyExtractor) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 30)

    def interrupt(progress: AddProgress) -> None:
        if progress.done == 13:
            _thread.interrupt_main()

    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        with pytest.raises(KeyboardInterrupt):
            album.add(photos, progress=interrupt)
        kept = len(album)
        assert 13 <= kept < 30
        assert len(album.search(np.ones(48), k=50)) == kept, "the same object goes on working"
        assert album.add(photos).added == 30 - kept
        assert len(tiny.names()) <= 31, "at most the one in flight is read twice"
        holds(album, 30)
        assert album.verify_integrity() == []


WRITER = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from album_helpers import TinyExtractor
    from fastcbir.image_index import ImageIndex
    from fastcbir.image_index import ingest
    ingest.BATCH_PHOTOS = 8
    tiny = TinyExtractor(before=lambda path: time.sleep({delay}))
    with ImageIndex.open({album!r}, create=True, extractor=tiny) as album:
        album.add({photos!r})
"""


def program(album: Path, photos: Path, delay: float = 0.0) -> list[str]:
    """A process that adds a folder, slowly."""
    text = WRITER.format(tests=str(TESTS), album=str(album), photos=str(photos), delay=delay)
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]


@pytest.fixture
def hundred(tmp_path: Path) -> Iterator[Path]:
    write_photos(tmp_path / "photos", 100)
    write_photo(tmp_path / "photos" / "copy.png", 50)
    (tmp_path / "photos" / "broken.png").write_bytes(b"?")
    yield tmp_path / "photos"


def contents(album: ImageIndex) -> dict[str, tuple[object, ...]]:
    """Everything the catalogue says of each photo."""
    with album._catalogue.reading() as snapshot:
        states = snapshot.states()
        return {path: (states[path], snapshot.content_of(path)) for path in snapshot.paths()}


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("kill_at", [1, 17, 60])
def test_kill_9_costs_at_most_a_batch_and_the_next_add_goes_on(
    tmp_path: Path, hundred: Path, tiny: TinyExtractor, kill_at: int
) -> None:
    path = tmp_path / "album.fcbir"
    with subprocess.Popen(program(path, hundred, delay=0.004), stderr=subprocess.PIPE) as process:
        wait_for(lambda: (path / "catalog.db").exists() or process.poll() is not None, "the album")

        def committed() -> bool:
            try:
                with ImageIndex.open(path, extractor=tiny, read_only=True) as album:
                    return len(album) >= kill_at
            except FormatError:  # its creation is not finished
                return False

        wait_for(lambda: committed() or process.poll() is not None, "some photos")
        assert process.poll() is None, process.stderr and process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.wait()

    with ImageIndex.open(path, extractor=tiny, read_only=True) as album:
        assert len(album.search(np.ones(48), k=200)) == len(album) >= kill_at, "recovers by itself"
    with ImageIndex.open(path, extractor=tiny) as album:
        kept = len(album)
        assert kill_at <= kept < 101
        assert len(album.search(np.ones(48), k=200)) == kept
        report = album.add(hundred)
        assert (report.added, report.unchanged, len(report.failed)) == (101 - kept, kept, 1)
        assert len(tiny.names()) in (101 - kept, 102 - kept), "what was committed is not read again"
        assert album.verify_integrity() == []
        with ImageIndex.open(tmp_path / "at_once.fcbir", create=True, extractor=tiny) as at_once:
            at_once.add(hundred)
            assert contents(album) == contents(at_once)
            assert album.info().failed == at_once.info().failed
            for number in (0, 50, 99):
                assert album.search(picture(number), k=5) == at_once.search(picture(number), k=5)


LIMITED = """
    import resource, sys
    sys.path.insert(0, {tests!r})
    from album_helpers import TinyExtractor
    from fastcbir.image_index import ImageIndex
    tiny = TinyExtractor()
    with ImageIndex.open({album!r}, extractor=tiny) as album:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            album.add({photos!r})
        except OSError as error:
            print(type(error).__name__, error)
            sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("limit", [4096, 70_000])
def test_a_disk_that_takes_no_more(tmp_path: Path, tiny: TinyExtractor, limit: int) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 10)
    path = tmp_path / "album.fcbir"
    with ImageIndex.open(path, create=True, extractor=tiny) as album:
        album.add(photos)
    write_photos(photos, 400, first=10)
    text = LIMITED.format(tests=str(TESTS), album=str(path), photos=str(photos), limit=limit)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    assert "safe" in done.stdout or "nothing is lost" in done.stdout
    with ImageIndex.open(path, extractor=tiny) as album:
        assert len(album) >= 10 and album.verify_integrity() == []
        album.add(photos)
        holds(album, 410)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system, as root")
def test_a_full_disk(tmp_path: Path, tiny: TinyExtractor) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 600)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        path = disk / "album.fcbir"
        with ImageIndex.open(path, create=True, extractor=tiny) as album:
            with pytest.raises(OSError, match=r"(everything committed before is safe|nothing is lost)"):
                album.add(photos)
            kept = len(album)
            assert 0 < kept < 600
            complete(album, kept)
        with ImageIndex.open(path, extractor=tiny, read_only=True) as album:
            complete(album, kept)
        with ImageIndex.open(path, extractor=tiny) as album:
            complete(album, kept)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        with ImageIndex.open(path, extractor=tiny) as album:
            assert album.add(photos).added == 600 - kept
            assert album.verify_integrity() == []
            complete(album, 600)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system, as root")
def test_an_album_on_a_medium_that_can_not_be_written(tmp_path: Path, tiny: TinyExtractor) -> None:
    made = tmp_path / "album.fcbir"
    write_photos(tmp_path / "photos", 10)
    with ImageIndex.open(made, create=True, extractor=tiny) as album:
        album.add(tmp_path / "photos")
    disc = made.parent / "disc"
    disc.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disc)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        shutil.copytree(made, disc / "album.fcbir")
        subprocess.run(["mount", "-o", "remount,ro", str(disc)], check=True)
        with ImageIndex.open(disc / "album.fcbir", extractor=tiny, read_only=True) as album:
            holds(album, 10)
            assert album.verify_integrity() == []
    finally:
        subprocess.run(["umount", str(disc)], check=True)
