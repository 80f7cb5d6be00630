"""Promise: one writer at a time, told by name to whoever has to wait; readers never wait and see what is
committed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from io import UnsupportedOperation
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, picture, wait_for, write_photo, write_photos

from fastcbir.errors import AlbumLockedError
from fastcbir.image_index import AddProgress, ImageIndex, nearest
from fastcbir.image_index.gate import Gate
from fastcbir.image_index.lock import WriterLock

TESTS = Path(__file__).parent


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def made(tmp_path: Path, tiny: TinyExtractor) -> Path:
    """An album of five photos, closed."""
    write_photos(tmp_path / "photos", 5)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        album.add(tmp_path / "photos")
    return tmp_path / "album.fcbir"


WRITER = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from album_helpers import TinyExtractor
    from fastcbir.image_index import ImageIndex
    from fastcbir.image_index import ingest
    ingest.BATCH_PHOTOS = 2

    def before(path):
        if path.name == "wait.png":
            Path({waiting!r}).touch()
            while not Path({go!r}).exists():
                time.sleep(0.01)

    with ImageIndex.open({album!r}, extractor=TinyExtractor(before=before)) as album:
        print(album.add({photos!r}).added)
"""


class Writer:
    """Another process that adds photos and stops at the one named wait.png until it is told to go on."""

    def __init__(self, album: Path) -> None:
        photos = album.parent / "photos"
        self.waiting, self.go = album.parent / "waiting", album.parent / "go"
        text = WRITER.format(
            tests=str(TESTS), waiting=str(self.waiting), go=str(self.go), album=str(album), photos=str(photos)
        )
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.waiting.exists() or self.process.poll() is not None, "the writer")
        assert self.process.poll() is None, self.process.communicate()

    def finish(self) -> int:
        self.go.touch()
        printed, complaints = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, complaints
        return int(printed)


@pytest.fixture
def writer(made: Path) -> Iterator[Writer]:
    write_photos(made.parent / "photos", 4, first=5)
    write_photo(made.parent / "photos" / "wait.png", 100)
    write_photo(made.parent / "photos" / "zz.png", 101)
    started = Writer(made)
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.communicate()


def test_a_second_writer_is_told_who_writes(made: Path, tiny: TinyExtractor, writer: Writer) -> None:
    with ImageIndex.open(made, extractor=tiny) as album:
        for action in (lambda: album.add(made.parent), album.sync, lambda: album.remove("*")):
            with pytest.raises(
                AlbumLockedError, match=rf"another process \(pid {writer.process.pid} on .*is writing"
            ):
                action()
        assert writer.finish() == 6
        assert album.add(made.parent / "photos").unchanged == 11, (
            "and can write as soon as the first has finished"
        )


def test_readers_do_not_wait_and_see_what_is_committed(
    made: Path, tiny: TinyExtractor, writer: Writer
) -> None:
    with ImageIndex.open(made, extractor=tiny, read_only=True) as album:
        before = len(album)
        assert 5 < before < 11, "some batches are committed, the index file is not yet written"
        assert len(album.search(np.ones(48), k=50)) == before
        assert album.search(picture(101), k=1)[0].score < 0.999
        writer.finish()
        assert len(album) == 11
        assert album.search(picture(101), k=1)[0].path.name == "zz.png"
        album.refresh()
        assert album.verify_integrity() == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_writer_leaves_no_lock(made: Path, tiny: TinyExtractor, writer: Writer) -> None:
    writer.process.send_signal(signal.SIGKILL)
    writer.process.communicate()
    writer.go.touch()
    with ImageIndex.open(made, extractor=tiny) as album:
        album.add(made.parent / "photos")
        assert len(album) == 11 and album.verify_integrity() == []


def test_a_reader_follows_removals_and_changes(made: Path, tiny: TinyExtractor) -> None:
    photos = made.parent / "photos"
    with (
        ImageIndex.open(made, extractor=tiny, read_only=True) as reader,
        ImageIndex.open(made, extractor=tiny) as album,
    ):
        assert len(reader.search(np.ones(48), k=50)) == 5
        album.remove(photos / "000.png")
        assert len(reader.search(np.ones(48), k=50)) == 4
        write_photo(photos / "001.png", 60)
        album.sync()
        assert reader.search(picture(60), k=1)[0].path.name == "001.png"
        assert reader.search(picture(1), k=1)[0].score < 0.999


def test_another_thread_is_a_second_writer_too(made: Path, tiny: TinyExtractor) -> None:
    write_photo(made.parent / "photos" / "new.png", 70)
    inside, go = threading.Event(), threading.Event()

    def hold(progress: AddProgress) -> None:
        inside.set()
        go.wait(30)

    with ImageIndex.open(made, extractor=tiny) as album:
        thread = threading.Thread(target=album.add, args=(made.parent / "photos",), kwargs={"progress": hold})
        thread.start()
        inside.wait(30)
        with pytest.raises(AlbumLockedError, match=rf"another thread of this process \(pid {os.getpid()}"):
            album.remove("*")
        assert len(album.search(np.ones(48), k=50)) >= 5, "searching goes on"
        go.set()
        thread.join()
        assert album.remove("*new.png") == 1


def test_read_only_writes_nothing(made: Path, tiny: TinyExtractor) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with ImageIndex.open(made, extractor=tiny, read_only=True) as album:
        for action in (lambda: album.add(made.parent), album.sync, lambda: album.remove("*")):
            with pytest.raises(UnsupportedOperation, match="opened with read_only=True"):
                action()
        assert len(album.search(np.ones(48), k=50)) == 5
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_a_closed_album_says_so(made: Path, tiny: TinyExtractor) -> None:
    album = ImageIndex.open(made, extractor=tiny)
    album.close()
    album.close()
    for action in (lambda: len(album), album.paths, album.info, lambda: album.search(np.ones(48))):
        with pytest.raises(ValueError, match="is closed; open it again"):
            action()


def test_a_lock_waits_a_moment_and_names_an_unknown_holder(tmp_path: Path) -> None:
    path = tmp_path / "writer.lock"
    first = WriterLock(path, patience_s=0)
    with first:
        path.write_text("garbled")
        with (
            pytest.raises(AlbumLockedError, match=r"^another process is writing"),
            WriterLock(path, patience_s=0.1),
        ):
            pass
    with first, pytest.raises(AlbumLockedError, match=rf"pid {os.getpid()}"), WriterLock(path, patience_s=0):
        pass
    entered = threading.Event()

    def wait() -> None:
        with WriterLock(path, patience_s=30):
            entered.set()

    with first:
        thread = threading.Thread(target=wait)
        thread.start()
        assert not entered.wait(0.1)
    thread.join()
    assert entered.is_set()


def test_a_search_that_never_meets_its_snapshot_insists(
    made: Path, tiny: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a catalogue is put back from a backup while the album is open: the index is ahead for ever."""
    monkeypatch.setattr(nearest, "_TRIES", 2)
    with ImageIndex.open(made, extractor=tiny, read_only=True) as album:
        album.refresh()
        album._index._generation = 10**9
        assert len(album.search(np.ones(48), k=50)) == 5
        assert len(album.search(np.ones(48), k=50)) == 5


def test_a_gate_lets_many_share_and_one_change() -> None:
    gate = Gate()
    inside = 0
    most = 0
    wrong: list[str] = []
    guard = threading.Lock()
    together = threading.Barrier(4)

    def share() -> None:
        nonlocal inside, most
        with gate.shared():
            together.wait(10)  # all four are inside at once, or this fails
        for _ in range(200):
            with gate.shared():
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    def change() -> None:
        for _ in range(200):
            with gate.exclusive():
                if inside:
                    wrong.append("shared while exclusive")

    threads = [threading.Thread(target=share) for _ in range(4)]
    for thread in threads:
        thread.start()
    changers = [threading.Thread(target=change) for _ in range(2)]
    for thread in changers:
        thread.start()
    for thread in threads + changers:
        thread.join(30)
    assert wrong == [] and not together.broken


def test_two_processes_may_create_the_same_album(tmp_path: Path) -> None:
    text = f"""
        import sys
        sys.path.insert(0, {str(TESTS)!r})
        from album_helpers import TinyExtractor
        from fastcbir.image_index import ImageIndex
        path = {str(tmp_path / "album.fcbir")!r}
        with ImageIndex.open(path, create=True, extractor=TinyExtractor()) as album:
            print(len(album))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in both:
        printed, complaints = process.communicate(timeout=60)
        assert (process.returncode, printed.strip()) == (0, "0"), complaints
