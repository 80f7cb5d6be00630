"""Walk a folder for photos: in a fixed order, every real folder once, never raising for what can't be read.

Folders that are links are followed, after all real ones, and only when no walked folder is the same; so a
link into its own ancestry ends, and a photo keeps its plainest path. Where the walk passes onto another
device or through a link, the folder is reported as an anchor: its photos may vanish all at once when
something is not mounted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from fastcbir.extract import Failure
from fastcbir.image_index.paths import Excluder

__all__ = ["Anchor", "FoundFile", "Walk", "is_gone", "look_at", "reason_of", "walk_folder", "why_lost"]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file on disk as `stat` tells of it: canonical path, size in bytes, time of last change in ns."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """A folder whose photos may vanish together: one that was added, a mount point (`mount`), a linked "
    "one."""

    path: str
    mount: bool = False


@dataclass
class Walk:
    """What a walk found.

    Attributes:
        files: the photos, in the order of the walk.
        failures: folders and files that could not be looked at, with the reason.
        anchors: mount points and linked folders passed on the way.
    """

    files: list[FoundFile] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)


def reason_of(error: OSError) -> str:
    """The system's words for an error, without the path (which stands beside it)."""
    return error.strerror or str(error)


def is_gone(path: str) -> bool:
    """Whether nothing bears this name any more; False where that can't be known, and for a dead link."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def why_lost(anchor: Anchor) -> str | None:
    """Why the photos under this folder can't be judged now, such as "is empty"; None when it is there.

    A disk that is not mounted leaves a missing folder or an empty one (hidden files count as nothing), or, at
    a known mount point, a folder that is no mount point now.
    """
    try:
        with os.scandir(anchor.path) as listing:
            if not any(not entry.name.startswith(".") for entry in listing):
                return "is empty"
        if anchor.mount and not os.path.ismount(anchor.path):
            return "is no longer a mount point"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"can't be read ({reason_of(error)})"
    return None


def look_at(path: str) -> FoundFile | Failure:
    """One file, whatever its suffix, but only a regular one: opening a pipe would hang."""
    try:
        status = os.stat(path)  # noqa: PTH116  hot path, and `path` may hold surrogates
    except OSError as error:
        if isinstance(error, FileNotFoundError) and os.path.islink(path):  # noqa: PTH114
            return Failure(Path(path), "the link's target does not exist")
        return Failure(Path(path), reason_of(error))
    if not stat.S_ISREG(status.st_mode):
        return Failure(Path(path), "not a regular file")
    return FoundFile(path, status.st_size, status.st_mtime_ns)


def walk_folder(
    root: str,
    *,
    suffixes: Collection[str],
    exclude: Excluder,
    skip: Collection[str] = frozenset(),
    arrived: Callable[[int, str], None] = lambda count, folder: None,
) -> Walk:
    """All photos under `root`, sorted by name folder by folder: first a folder's files, then its folders.

    Hidden files and folders (a leading dot; `root` itself may be one) and albums (*.fcbir) are left out.

    Args:
        root: canonical folder.
        suffixes: lower-case, with the dot: which files are photos.
        exclude: which files and folders to leave out.
        skip: canonical folders to leave out (the album itself).
        arrived: called after each folder with the number of files found so far and the folder.
    """
    walk = Walk()
    seen: set[tuple[int, int]] = set()
    try:
        device = os.stat(root).st_dev  # noqa: PTH116
    except OSError as error:
        walk.failures.append(Failure(Path(root), reason_of(error)))
        return walk
    linked: list[str] = []
    pending: list[tuple[str, int]] = [(root, device)]
    while pending or linked:
        if pending:
            folder, parent_device = pending.pop()
        else:  # real folders are done: follow one link, then what it opened
            linked.sort(reverse=True)
            folder, parent_device = linked.pop(), -1
        folders = _visit(folder, parent_device, seen, linked, walk, suffixes, exclude, skip)
        pending.extend(reversed(folders))
        arrived(len(walk.files), folder)
    return walk


def _visit(
    folder: str,
    parent_device: int,
    seen: set[tuple[int, int]],
    linked: list[str],
    walk: Walk,
    suffixes: Collection[str],
    exclude: Excluder,
    skip: Collection[str],
) -> list[tuple[str, int]]:
    """Look through one folder; returns its real sub-folders, sorted, each with this folder's device."""
    try:
        status = os.stat(folder)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return []
        seen.add(identity)
        if status.st_dev != parent_device:
            walk.anchors.append(Anchor(folder, mount=os.path.ismount(folder)))
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        walk.failures.append(Failure(Path(folder), reason_of(error)))
        return []
    folders: list[tuple[str, int]] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                if entry.name.endswith(".fcbir") or entry.path in skip or exclude(entry.path):
                    continue
                if entry.is_symlink():
                    linked.append(entry.path)
                else:
                    folders.append((entry.path, status.st_dev))
            elif os.path.splitext(entry.name)[1].lower() in suffixes and not exclude(entry.path):  # noqa: PTH122
                found = look_at(entry.path)
                if isinstance(found, FoundFile):
                    walk.files.append(found)
                else:
                    walk.failures.append(found)
        except OSError as error:  # a link that circles on itself, an entry that went away
            walk.failures.append(Failure(Path(entry.path), reason_of(error)))
    return folders
