"""Promise: sync() follows the disk, but a disk that is not there takes no photo with it; remove() is
obeyed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from album_helpers import TinyExtractor, picture, write_photo, write_photos

from fastcbir.image_index import ImageIndex


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def album(tmp_path: Path, tiny: TinyExtractor) -> Iterator[ImageIndex]:
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as opened:
        yield opened


def names(album: ImageIndex) -> list[str]:
    return [path.name for path in album.paths()]


def test_sync_takes_in_what_is_new_and_drops_what_has_vanished(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    paths = write_photos(tmp_path / "a", 4)
    write_photos(tmp_path / "b", 2, first=4)
    album.add([tmp_path / "a", tmp_path / "b"])
    tiny.names()
    paths[0].unlink()
    paths[1].rename(tmp_path / "b" / "moved.png")
    write_photo(paths[2], 20)
    write_photo(tmp_path / "b" / "new.png", 21)
    report = album.sync()
    assert (report.added, report.updated, report.moved, report.vanished, report.unchanged) == (1, 1, 1, 1, 3)
    assert report.failed == [] and tiny.names() == ["002.png", "new.png"]
    assert names(album) == ["002.png", "003.png", "004.png", "005.png", "moved.png", "new.png"]
    assert album.search(picture(0), k=1)[0].score < 0.999, "what has vanished is not found"
    assert album.verify_integrity() == []
    assert album.info().contents == 6


def test_sync_keeps_the_excludes_of_each_folder(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 2)
    album.add(tmp_path / "a", exclude=["raw", "*_thumb.png"])
    write_photo(tmp_path / "a" / "raw" / "x.png", 5)
    write_photo(tmp_path / "a" / "x_thumb.png", 6)
    assert album.sync().added == 0


def test_single_files_are_followed_too(album: ImageIndex, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "a", 3)
    album.add(paths[:2])
    write_photo(paths[0], 9)
    paths[1].unlink()
    report = album.sync()
    assert (report.updated, report.vanished, report.added, report.failed) == (1, 1, 0, [])
    assert names(album) == ["000.png"] and album.info().folders == [paths[0]]
    assert album.sync().vanished == 0


def lose(folder: Path, how: str) -> None:
    """Take a folder's photos away as an unmounted disk does."""
    shutil.rmtree(folder)
    if how != "missing":
        folder.mkdir()
    if how == "hidden":
        (folder / ".DS_Store").write_bytes(b"x")


@pytest.mark.parametrize("how", ["missing", "empty", "hidden"])
def test_a_folder_that_is_away_keeps_its_photos(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path, how: str
) -> None:
    write_photos(tmp_path / "here", 3)
    write_photos(tmp_path / "disk", 3, first=3)
    album.add([tmp_path / "here", tmp_path / "disk"])
    (tmp_path / "here" / "000.png").unlink()
    lose(tmp_path / "disk", how)

    report = album.sync()
    assert report.vanished == 1, "what is certain is still done"
    (failure,) = report.failed
    assert failure.path == tmp_path / "disk"
    expected = "missing" if how == "missing" else "empty"
    assert f"the folder is {expected}, but the album has 3 photos of it" in failure.reason
    assert "sync(drop_missing_folders=True)" in failure.reason
    assert len(album) == 5 and album.search(picture(4), k=1)[0].path.name == "004.png"

    tiny.names()
    write_photos(tmp_path / "disk", 3, first=3)  # it is back, with other time stamps
    report = album.sync()
    assert (report.unchanged, report.vanished, report.failed) == (5, 0, [])
    assert tiny.names() == []


def test_a_folder_that_is_gone_for_good_can_be_dropped(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "here", 2)
    write_photos(tmp_path / "disk", 3, first=2)
    album.add([tmp_path / "here", tmp_path / "disk"])
    shutil.rmtree(tmp_path / "disk")
    report = album.sync(drop_missing_folders=True)
    assert (report.vanished, report.failed) == (3, [])
    assert names(album) == ["000.png", "001.png"]
    assert album.info().folders == [tmp_path / "here"], "and forgotten"
    assert album.info().failed == [] and album.sync().failed == []


def test_an_emptied_folder_that_other_things_are_left_in_is_believed(
    album: ImageIndex, tmp_path: Path
) -> None:
    paths = write_photos(tmp_path / "a", 2)
    (tmp_path / "a" / "notes.txt").write_text("the photos were deleted on purpose")
    album.add(tmp_path / "a")
    for path in paths:
        path.unlink()
    report = album.sync()
    assert (report.vanished, report.failed, len(album)) == (2, [], 0)


def test_a_subfolder_that_is_deleted_is_believed(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 2)
    write_photos(tmp_path / "a" / "sub", 2, first=2)
    album.add(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "sub")
    assert album.sync().vanished == 2 and len(album) == 2


def test_a_linked_folder_that_is_away_keeps_its_photos(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 1)
    write_photos(tmp_path / "disk", 2, first=1)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    album.add(tmp_path / "a")
    assert len(album) == 3
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    report = album.sync()
    assert report.vanished == 0 and [failure.path for failure in report.failed] == [tmp_path / "a" / "link"]
    assert len(album) == 3


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system, as root")
def test_a_disk_that_is_not_mounted_keeps_its_photos(album: ImageIndex, tmp_path: Path) -> None:
    disk = tmp_path / "a" / "disk"
    disk.mkdir(parents=True)
    (disk / "README").write_text("a mount point need not be empty")
    write_photos(tmp_path / "a", 1)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        write_photos(disk, 2, first=1)
        album.add(tmp_path / "a")
        assert len(album) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    report = album.sync()
    assert report.vanished == 0 and len(album) == 3
    assert "is no longer a mount point" in report.failed[0].reason


def test_a_folder_that_can_not_be_read_keeps_its_photos(
    album: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "a", 2)
    write_photos(tmp_path / "a" / "sub", 2, first=2)
    album.add(tmp_path / "a")
    real = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        report = album.sync()
    assert report.vanished == 0 and len(album) == 4
    assert [(failure.path.name, failure.reason) for failure in report.failed] == [
        ("sub", "Permission denied")
    ]
    assert [failure.path.name for failure in album.info().failed] == ["sub"]
    assert album.sync().failed == [] and album.info().failed == []


def test_removed_photos_stay_out_of_sync_and_come_back_by_add(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    paths = write_photos(tmp_path / "a", 5)
    album.add(tmp_path / "a")
    assert album.remove(paths[0]) == 1
    assert album.remove([str(paths[1]), "*2.png"]) == 2
    assert names(album) == ["003.png", "004.png"] and album.info().contents == 2
    assert all(path.exists() for path in paths), "files are not touched"
    assert album.sync().added == 0 and len(album) == 2
    assert {hit.path.name for hit in album.search(picture(0), k=9)} == {"003.png", "004.png"}
    assert album.verify_integrity() == []
    assert album.add(paths[0]).added == 1
    assert album.add(tmp_path / "a").added == 2
    assert album.sync().unchanged == 5


def test_a_removed_photo_whose_file_is_replaced_later_is_new(album: ImageIndex, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "a", 2)
    album.add(tmp_path / "a")
    album.remove(paths[0])
    paths[0].unlink()
    album.sync()
    write_photo(paths[0], 9)
    assert album.sync().added == 1


def test_removing_a_folder_ends_its_syncing(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 2)
    write_photos(tmp_path / "b", 3, first=2)
    album.add([tmp_path / "a", tmp_path / "b"])
    assert album.remove(tmp_path / "b") == 3
    assert album.info().folders == [tmp_path / "a"]
    assert album.sync().added == 0
    assert album.add(tmp_path / "b").added == 3


def test_removing_nothing(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 1)
    album.add(tmp_path / "a")
    assert album.remove("*.tiff") == album.remove(tmp_path / "nothing.png") == album.remove([]) == 0
    assert len(album) == 1


def test_a_photo_whose_name_looks_like_a_glob_is_itself(album: ImageIndex, tmp_path: Path) -> None:
    write_photo(tmp_path / "a" / "[1].png", 1)
    write_photo(tmp_path / "a" / "1.png", 2)
    album.add(tmp_path / "a")
    assert album.remove(str(tmp_path / "a" / "[1].png")) == 1
    assert names(album) == ["1.png"]
