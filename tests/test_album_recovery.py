"""Promise: whatever is lost or interrupted, an album opens with all that was committed, and says what it
can't use.
"""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, picture, wait_for, write_photo, write_photos

import fastcbir as fc
from fastcbir.errors import FormatError
from fastcbir.image_index import AddProgress, ImageIndex
from fastcbir.image_index.derived import DerivedIndex

TESTS = Path(__file__).parent


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def made(tmp_path: Path, tiny: TinyExtractor) -> Path:
    """An album of ten photos, closed."""
    write_photos(tmp_path / "photos", 10)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        album.add(tmp_path / "photos")
    return tmp_path / "album.fcbir"


def holds(album: ImageIndex, count: int) -> None:
    """The album and its index hold the photos 0 .. count-1, and each is found."""
    assert len(album) == count
    for number in range(count):
        assert album.search(picture(number), k=1)[0].path.name == f"{number:03d}.png"


def complete(album: ImageIndex, count: int) -> None:
    """The album holds so many photos, and each of them is found."""
    paths = album.paths()
    assert len(paths) == count
    assert [hits[0].path for hits in album.search(paths, k=1)] == paths


# --- the index file: derived, so it may be lost -------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))


def other_dim(path: Path) -> None:
    index = fc.Index(5, fc.Flat(), metric="cosine")
    index.add(np.eye(5, dtype=np.float32))
    index.save(path)


def other_album(path: Path) -> None:
    """The same shape, and even as many vectors; but they are of other photos."""
    index = fc.Index(48, fc.Flat(), metric="cosine")
    index.add(np.random.default_rng(0).normal(size=(10, 48)).astype(np.float32))
    index.save(path)


def of_the_future(path: Path) -> None:
    data = bytearray(path.read_bytes())
    (place,) = [at for at in range(4, 32, 4) if int.from_bytes(data[at : at + 4], "little") == 1][:1]
    data[place] = 200
    path.write_bytes(data)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [Path.unlink, truncate, flip_a_bit, foreign, other_dim, other_album, of_the_future]
)
def test_a_lost_index_is_made_again(made: Path, tiny: TinyExtractor, spoil: Callable[[Path], None]) -> None:
    tiny.names()
    spoil(made / "index.fcx")
    with ImageIndex.open(made, extractor=tiny, read_only=True) as album:
        assert [problem.kind for problem in album.verify_integrity()] == ["index"]
        holds(album, 10)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == [], (
            "the file is right again as soon as the album is open for writing"
        )
        holds(album, 10)
    assert tiny.names() == [], "and nothing was extracted"


def test_an_index_that_can_not_be_replaced_does_not_keep_the_album_shut(
    made: Path, tiny: TinyExtractor
) -> None:
    folder(made / "index.fcx")
    with ImageIndex.open(made, extractor=tiny) as album:
        holds(album, 10)
        write_photos(made.parent / "photos", 2, first=10)
        with pytest.raises(OSError, match=r"the photos are recorded, .* nothing is lost"):
            album.add(made.parent / "photos")
        holds(album, 12)


def test_an_old_copy_of_the_index_is_brought_up_to_date(made: Path, tiny: TinyExtractor) -> None:
    photos = made.parent / "photos"
    old = (made / "index.fcx").read_bytes()
    with ImageIndex.open(made, extractor=tiny) as album:
        (photos / "009.png").unlink()
        write_photo(photos / "003.png", 3, width=30)  # another file, another content, the same place
        write_photos(photos, 5, first=10)
        album.sync()
    (made / "index.fcx").write_bytes(old)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == []
        assert len(album.search(np.ones(48), k=100)) == 14


def test_an_old_copy_of_the_catalogue_with_a_newer_index(made: Path, tiny: TinyExtractor) -> None:
    """The index then has ids that the catalogue never gave out, and may give out again for the same content
    only.
    """
    photos = made.parent / "photos"
    old = (made / "catalog.db").read_bytes()
    with ImageIndex.open(made, extractor=tiny) as album:
        write_photos(photos, 5, first=10)
        album.add(photos)
    (made / "catalog.db").write_bytes(old)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == []
        holds(album, 10)
        for path in photos.iterdir():
            path.unlink()
        write_photos(photos, 10)
        write_photos(photos, 5, first=20)
        assert album.add(photos).added == 5
        assert album.verify_integrity() == []
        assert album.search(picture(22), k=1)[0].path.name == "022.png"
        assert album.search(picture(12), k=1)[0].score < 0.999


def test_a_kill_between_commit_and_save_costs_nothing(
    made: Path, tiny: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(self: DerivedIndex) -> None:
        raise KilledError

    write_photos(made.parent / "photos", 5, first=10)
    with monkeypatch.context() as patch, ImageIndex.open(made, extractor=tiny) as album:
        patch.setattr(DerivedIndex, "save", killed)
        with pytest.raises(KilledError):
            album.add(made.parent / "photos")
    assert len(fc.load(made / "index.fcx")) == 10
    with ImageIndex.open(made, extractor=tiny) as album:
        assert len(fc.load(made / "index.fcx")) == 15
        holds(album, 15)


def test_what_a_killed_save_left_over_is_cleared_away(made: Path, tiny: TinyExtractor) -> None:
    left_over = made / "index.fcx.tmp-1-0"
    left_over.write_bytes(b"half an index")
    with ImageIndex.open(made, extractor=tiny, read_only=True):
        assert left_over.exists()
    with ImageIndex.open(made, extractor=tiny):
        assert not left_over.exists()


# --- the catalogue: the truth, never overwritten ------------------------------------------------------------


def future_catalogue(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "damaged"),
        (foreign, "is no SQLite database"),
        (future_catalogue, "has catalogue version 99"),
        (Path.unlink, "has lost its catalog.db"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_catalogue_that_can_not_be_used_is_refused_and_kept(
    made: Path, spoil: Callable[[Path], None], message: str, create: bool
) -> None:
    catalogue = made / "catalog.db"
    spoil(catalogue)
    before = catalogue.read_bytes() if catalogue.exists() else None
    index = (made / "index.fcx").read_bytes()
    with pytest.raises(FormatError, match=message):
        ImageIndex.open(made, extractor=TinyExtractor(), create=create).verify_integrity()
    assert (catalogue.read_bytes() if catalogue.exists() else None) == before
    assert (made / "index.fcx").read_bytes() == index


def test_opening_what_is_no_album(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"create=True.*fastcbir index FOLDER"):
        ImageIndex.open(tmp_path / "album.fcbir")
    assert not (tmp_path / "album.fcbir").exists()
    write_photos(tmp_path / "photos", 2)
    with pytest.raises(FormatError, match=r"is a folder, but no album: it has no catalog\.db"):
        ImageIndex.open(tmp_path / "photos")
    with pytest.raises(FormatError, match=r"other things in it \('000\.png', 2 in all\), not an album"):
        ImageIndex.open(tmp_path / "photos", create=True, extractor=TinyExtractor())
    with pytest.raises(FormatError, match="is a file; an album is a folder"):
        ImageIndex.open(tmp_path / "photos" / "000.png")
    with pytest.raises(ValueError, match="exclude each other"):
        ImageIndex.open(tmp_path / "album.fcbir", create=True, read_only=True)
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["000.png", "001.png"]


@pytest.mark.parametrize("left", ["nothing", "lock", "empty", "header"])
def test_a_creation_that_was_cut_short_can_be_finished(tmp_path: Path, left: str) -> None:
    album = tmp_path / "album.fcbir"
    album.mkdir()
    if left == "lock":
        (album / "writer.lock").touch()
    elif left == "empty":
        (album / "catalog.db").touch()
    elif left == "header":
        connection = sqlite3.connect(album / "catalog.db")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    with pytest.raises(FormatError, match=r"no album|cut short"):
        ImageIndex.open(album)
    with ImageIndex.open(album, create=True, extractor=TinyExtractor()) as opened:
        assert len(opened) == 0
    with ImageIndex.open(album, create=True, extractor=TinyExtractor()) as opened:
        assert opened.info().path == album, "create opens what exists"


# --- interruptions ------------------------------------------------------------------------------------------


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


# --- a full disk --------------------------------------------------------------------------------------------


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
def test_an_album_on_a_medium_that_can_not_be_written(made: Path, tiny: TinyExtractor) -> None:
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
