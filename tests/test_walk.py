"""Promise: a walk finds every photo once, in a fixed order, and never stops at what it can't read."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastcbir.image_index.paths import (
    Excluder,
    canonical_file,
    canonical_folder,
    decode_path,
    encode_path,
    glob_pattern,
    is_under,
)
from fastcbir.image_index.walk import Anchor, FoundFile, Walk, is_gone, look_at, walk_folder, why_lost

SUFFIXES = frozenset({".jpg", ".png"})


def walk(root: Path, *exclude: str, skip: tuple[Path, ...] = ()) -> Walk:
    return walk_folder(
        str(root), suffixes=SUFFIXES, exclude=Excluder(exclude), skip={str(path) for path in skip}
    )


def found(root: Path, *exclude: str, skip: tuple[Path, ...] = ()) -> list[str]:
    return [os.path.relpath(file.path, root) for file in walk(root, *exclude, skip=skip).files]


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_photos_come_in_a_fixed_order_files_before_folders(tmp_path: Path) -> None:
    put(tmp_path, "z.jpg", "b/2.JPG", "b/1.png", "a/x.jpg", "a/deep/er/y.jpg", "notes.txt", "noextension")
    assert found(tmp_path) == ["z.jpg", "a/x.jpg", "a/deep/er/y.jpg", "b/1.png", "b/2.JPG"]


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    status = (tmp_path / "a.jpg").stat()
    assert walk(tmp_path).files == [FoundFile(str(tmp_path / "a.jpg"), 5, status.st_mtime_ns)]


def test_hidden_files_albums_and_skipped_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".hidden/a.jpg", "._b.jpg", "other.fcbir/c.jpg", "mine/d.jpg", "e.jpg")
    assert found(tmp_path, skip=(tmp_path / "mine",)) == ["e.jpg"]
    assert found(tmp_path / ".hidden") == ["a.jpg"], "a hidden folder that is named itself is meant"


def test_exclude_leaves_out_folders_and_files(tmp_path: Path) -> None:
    put(tmp_path, "raw/a.jpg", "x/raw/b.jpg", "x/rawer/c.jpg", "x/d_thumb.jpg", "x/d.jpg")
    assert found(tmp_path, "raw/", "*_thumb.jpg") == ["x/d.jpg", "x/rawer/c.jpg"]
    assert found(tmp_path, "x/raw/*") == ["raw/a.jpg", "x/d.jpg", "x/d_thumb.jpg", "x/rawer/c.jpg"]
    assert found(tmp_path, str(tmp_path / "x")) == ["raw/a.jpg"]
    with pytest.raises(TypeError, match=r"list of globs, not the string '\*\.png'"):
        Excluder("*.png")


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path, "root/sub/a.jpg", "outside/b.jpg", "outside/more/c.jpg")
    root = tmp_path / "root"
    (root / "again").symlink_to(
        root / "sub", target_is_directory=True
    )  # sorts before sub, yet sub is plainer
    (root / "sub" / "up").symlink_to(root, target_is_directory=True)
    (root / "to_outside").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "outside" / "back").symlink_to(root, target_is_directory=True)
    (tmp_path / "outside" / "twice").symlink_to(tmp_path / "outside" / "more", target_is_directory=True)
    (root / "linked.jpg").symlink_to(tmp_path / "outside" / "b.jpg")
    assert found(root) == ["linked.jpg", "sub/a.jpg", "to_outside/b.jpg", "to_outside/more/c.jpg"]
    assert walk(root).anchors == [Anchor(str(root / "to_outside"))]


def test_links_that_lead_nowhere_are_failures(tmp_path: Path) -> None:
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    put(tmp_path, "a.jpg")
    done = walk(tmp_path)
    assert [Path(file.path).name for file in done.files] == ["a.jpg"]
    assert {failure.path.name: failure.reason for failure in done.failures} == {
        "dead.jpg": "the link's target does not exist",
        "self.jpg": os.strerror(errno.ELOOP),
    }


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert [failure.reason for failure in walk(tmp_path).failures] == ["not a regular file"]


def test_a_folder_that_may_not_be_read_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1.jpg", "locked/2.jpg", "z/3.jpg")
    locked = str(tmp_path / "locked")
    real = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if path == locked:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = walk(tmp_path)
    assert [Path(file.path).name for file in done.files] == ["1.jpg", "3.jpg"]
    assert [(str(failure.path), failure.reason) for failure in done.failures] == [
        (locked, "Permission denied")
    ]


def test_a_root_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    done = walk(tmp_path / "nothing")
    assert done.files == []
    assert [failure.reason for failure in done.failures] == ["No such file or directory"]


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    try:
        (tmp_path / name).write_bytes(b"x")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    (path,) = [file.path for file in walk(tmp_path).files]
    assert os.fsencode(path).endswith(b"caf\xe9 \xff.jpg")
    assert decode_path(encode_path(path)) == path
    assert Path(path).exists()


@contextlib.contextmanager
def mounted(point: Path) -> Iterator[None]:
    """A small file system of its own at `point`, where that is allowed."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(point)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system, as root")
def test_a_mount_point_is_an_anchor_and_is_missed_when_it_is_not_mounted(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "disk/below.txt")
    anchor = Anchor(str(tmp_path / "disk"), mount=True)
    with mounted(tmp_path / "disk"):
        put(tmp_path, "disk/b.jpg")
        assert walk(tmp_path).anchors == [anchor]
        assert why_lost(anchor) is None
    assert why_lost(anchor) == "is no longer a mount point"


def test_a_folder_is_lost_when_missing_or_empty(tmp_path: Path) -> None:
    put(tmp_path, "hidden/.keep", "full/a.txt")
    (tmp_path / "empty").mkdir()
    whys = {
        name: why_lost(Anchor(str(tmp_path / name)))
        for name in ("full", "empty", "hidden", "none", "full/a.txt/b")
    }
    assert whys == {
        "full": None,
        "empty": "is empty",
        "hidden": "is empty",
        "none": "is missing",
        "full/a.txt/b": "is missing",
    }


def test_gone_means_that_the_name_is_gone(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nothing")
    assert not is_gone(str(tmp_path / "a.jpg"))
    assert not is_gone(str(tmp_path / "dead.jpg")), "its disk may not be mounted"
    assert is_gone(str(tmp_path / "b.jpg"))
    assert is_gone(str(tmp_path / "a.jpg" / "b.jpg"))
    assert not isinstance(look_at(str(tmp_path)), FoundFile)


def test_canonical_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path.resolve()
    put(real, "folder/a.jpg")
    (real / "link").symlink_to(real / "folder", target_is_directory=True)
    (real / "folder" / "b.jpg").symlink_to(real / "folder" / "a.jpg")
    monkeypatch.chdir(real)
    monkeypatch.setenv("HOME", str(real))
    assert canonical_folder("link") == canonical_folder("~/folder/") == str(real / "folder")
    assert canonical_file("link/../folder/b.jpg") == str(real / "folder" / "b.jpg"), (
        "the file's own name stays"
    )
    assert is_under("/a/b/c", "/a/b") and is_under("/a/b", "/a/b") and is_under("/a", "/")
    assert not is_under("/a/bc", "/a/b")


def test_globs_mean_in_a_walk_what_they_mean_in_sqlite() -> None:
    generator = random.Random(7)
    database = sqlite3.connect(":memory:")
    signs = [
        "*",
        "?",
        "[ab]",
        "[!a]",
        "[^b]",
        "[a-c]",
        "[]]",
        "[",
        "]",
        "a",
        "b",
        "/",
        "-",
        "^",
        ".",
        "é",
        "|",
    ]
    letters = "abc/-^].é|&"
    for _ in range(8000):
        pattern = "".join(generator.choices(signs, k=generator.randint(1, 5)))
        path = "/" + "".join(generator.choices(letters, k=generator.randint(0, 5)))
        if pattern.endswith("/"):
            continue  # a trailing slash says "a folder" to a walk
        query = "SELECT CAST(? AS TEXT) GLOB CAST(? AS TEXT)"
        expected = bool(database.execute(query, (encode_path(path), glob_pattern(pattern))).fetchone()[0])
        assert Excluder([pattern])(path) == expected, (pattern, path)
    database.close()


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.jpg", "/p/a/1.jpg", "/p/a/1.png"),
        ("cats/*.jpg", "/p/cats/kittens/1.jpg", "/p/dogcats/1.jpg"),
        ("/p/*/1.jpg", "/p/a/b/1.jpg", "/q/a/1.jpg"),
        ("IMG_?.png", "/p/IMG_1.png", "/p/IMG_10.png"),
        ("[!a]/*", "/b/x", "/a/x"),
    ],
)
def test_what_a_glob_matches(pattern: str, matching: str, other: str) -> None:
    assert Excluder([pattern])(matching) and not Excluder([pattern])(other)


def test_an_empty_glob_is_refused() -> None:
    with pytest.raises(ValueError, match="glob is empty"):
        glob_pattern("")
    assert not any(map(Excluder(()), itertools.repeat("/a", 2)))
