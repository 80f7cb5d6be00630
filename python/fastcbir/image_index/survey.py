"""What is on disk, for the sources of an add or the roots of a sync: walks put together, each file once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fastcbir.extract.results import Failure
from fastcbir.image_index.paths import Excluder, canonical_file, canonical_folder, is_under
from fastcbir.image_index.snapshot import Root
from fastcbir.image_index.walk import Anchor, FoundFile, is_gone, look_at, walk_folder

__all__ = ["Survey", "roots_of", "survey"]

PathLike = str | os.PathLike[str]


@dataclass
class Survey:
    """What was found.

    Attributes:
        roots: what was surveyed.
        files: by path, in the order they were found.
        failures: what could not be looked at, by path.
        anchors: folders whose photos may vanish together.
    """

    roots: list[Root]
    files: dict[str, FoundFile] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._named = {root.path for root in self.roots}
        self._folders = [root.path for root in self.roots if root.kind == "folder"]

    def covers(self, path: str) -> bool:
        """Whether the survey would have come across this file if it were there."""
        return path in self._named or any(is_under(path, folder) for folder in self._folders)


def roots_of(
    source: PathLike | Iterable[PathLike], exclude: Sequence[str]
) -> tuple[list[Root], list[Failure]]:
    """The folders and files that a user named, canonical, and a failure for each that does not exist.

    Raises:
        FileNotFoundError: none of them exists.
        TypeError: `exclude` is a bare string.
    """
    excluder = Excluder(exclude)
    named = [source] if isinstance(source, str | os.PathLike) else list(source)
    roots: dict[str, Root] = {}
    missing: list[Failure] = []
    for each in named:
        folder = canonical_folder(each)
        if os.path.isdir(folder):  # noqa: PTH112  the path may hold surrogates; os.path says what is meant
            roots[folder] = Root(folder, "folder", excluder.patterns)
            continue
        path = canonical_file(each)
        if os.path.lexists(path):
            roots[path] = Root(path, "file", ())
        else:
            missing.append(Failure(Path(path), "there is no such file or folder"))
    if named and not roots:
        raise FileNotFoundError(errno.ENOENT, "there is no such file or folder", str(missing[0].path))
    return list(roots.values()), missing


def survey(
    roots: Sequence[Root],
    *,
    suffixes: Collection[str],
    skip: Collection[str],
    arrived: Callable[[int, str], None],
) -> Survey:
    """Walk all roots.

    Args:
        skip: folders to stay out of.
        arrived: called with the number of files found so far and each folder walked.
    """
    found = Survey(list(roots))
    for root in roots:
        if root.kind == "folder":
            before = len(found.files)
            walk = walk_folder(
                root.path,
                suffixes=suffixes,
                exclude=Excluder(root.exclude),
                skip=skip,
                arrived=partial(_add_up, arrived, before),
            )
            found.files.update((file.path, file) for file in walk.files)
            found.failures.update((str(failure.path), failure) for failure in walk.failures)
            found.anchors += [Anchor(root.path, os.path.ismount(root.path)), *walk.anchors]
        else:
            file = look_at(root.path)
            if isinstance(file, FoundFile):
                found.files[root.path] = file
            elif not is_gone(root.path):  # one that is gone is missing, not broken
                found.failures[root.path] = file
            found.anchors.append(Anchor(os.path.dirname(root.path)))  # noqa: PTH120
    for path in found.files:
        found.failures.pop(path, None)
    return found


def _add_up(arrived: Callable[[int, str], None], before: int, count: int, folder: str) -> None:
    arrived(before + count, folder)
