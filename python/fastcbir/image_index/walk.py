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
    walker = _Walker(suffixes, exclude, skip, arrived)
    try:
        device = os.stat(root).st_dev  # noqa: PTH116
    except OSError as error:
        walker.walk.failures.append(Failure(Path(root), reason_of(error)))
    else:
        walker.run(root, device)
    return walker.walk


class _Walker:
    """A walk under way. Arguments as of walk_folder()."""

    def __init__(
        self,
        suffixes: Collection[str],
        exclude: Excluder,
        skip: Collection[str],
        arrived: Callable[[int, str], None],
    ) -> None:
        self.walk = Walk()
        self._suffixes = suffixes
        self._exclude = exclude
        self._skip = skip
        self._arrived = arrived
        self._seen: set[tuple[int, int]] = set()
        self._pending: list[tuple[str, int]] = []  # (real folder, its parent's device), next one last
        self._linked: list[str] = []

    def run(self, root: str, device: int) -> None:
        self._pending.append((root, device))
        by_link = False
        while self._pending or self._linked:
            if self._pending:
                folder, parent_device = self._pending.pop()
            else:  # the real folders are done: follow one link, then what it has opened
                by_link = True
                self._linked.sort(reverse=True)
                folder, parent_device = self._linked.pop(), -1
            self._visit(folder, parent_device, by_link)
            self._arrived(len(self.walk.files), folder)

    def _visit(self, folder: str, parent_device: int, by_link: bool) -> None:
        try:
            status = os.stat(folder)  # noqa: PTH116
            identity = (status.st_dev, status.st_ino)
            # Only links lead to a folder twice; and on some file systems inode numbers mean nothing.
            if by_link and identity in self._seen:
                return
            self._seen.add(identity)
            if status.st_dev != parent_device:
                self.walk.anchors.append(Anchor(folder, mount=os.path.ismount(folder)))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.walk.failures.append(Failure(Path(folder), reason_of(error)))
            return
        folders: list[tuple[str, int]] = []
        for entry in entries:
            try:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir():
                    self._take(entry)
                elif self._may_enter(entry):
                    if entry.is_symlink():
                        self._linked.append(entry.path)
                    else:
                        folders.append((entry.path, status.st_dev))
            except OSError as error:  # a link that circles on itself, an entry that went away
                self.walk.failures.append(Failure(Path(entry.path), reason_of(error)))
        self._pending.extend(reversed(folders))

    def _may_enter(self, entry: os.DirEntry[str]) -> bool:
        return not (entry.name.endswith(".fcbir") or entry.path in self._skip or self._exclude(entry.path))

    def _take(self, entry: os.DirEntry[str]) -> None:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if suffix in self._suffixes and not self._exclude(entry.path):
            found = look_at(entry.path)
            if isinstance(found, FoundFile):
                self.walk.files.append(found)
            else:
                self.walk.failures.append(found)
