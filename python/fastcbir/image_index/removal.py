"""Taking photos out of an album by hand: which are meant, and what has to be remembered of it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.paths import canonical_file, canonical_folder, is_under
from fastcbir.image_index.query import photo_filter
from fastcbir.image_index.snapshot import Snapshot
from fastcbir.image_index.survey import Survey

__all__ = ["remove_photos"]

PathLike = str | os.PathLike[str]


def remove_photos(catalogue: Catalogue, photos: PathLike | Iterable[PathLike]) -> int:
    """Arguments and result as of ImageIndex.remove(); the caller holds the writer's lock."""
    named = [photos] if isinstance(photos, str | os.PathLike) else list(photos)
    with catalogue.reading() as snapshot:
        known = set(snapshot.paths())
        failed = set(snapshot.failures())
        roots = snapshot.roots()
        anchors = snapshot.anchors()
        folders: list[str] = []
        meant: set[str] = set()
        for each in named:
            paths, folder = _meant(each, known | failed, snapshot)
            meant |= paths
            folders += folder
    watched = [root.path for root in roots] + [anchor.path for anchor in anchors]
    given_up = [path for path in watched if any(is_under(path, folder) for folder in folders)]
    still = Survey([root for root in roots if root.path not in given_up])
    with catalogue.writing() as batch:
        batch.drop(meant)
        batch.forget_failures(meant)
        batch.forget_folders(given_up)
        batch.remember_removed(path for path in meant if still.covers(path))
        batch.collect()
    return len(meant & known)


def _meant(item: PathLike, known: set[str], snapshot: Snapshot) -> tuple[set[str], list[str]]:
    """(photos meant, folders meant as a whole): a file by its name, else a folder, else a glob."""
    path = canonical_file(item)
    if path in known:
        return {path}, []
    folder = canonical_folder(item)
    inside = {each for each in known if is_under(each, folder)}
    if inside or any(root.path == folder for root in snapshot.roots()):
        return inside, [folder]
    if isinstance(item, str) and any(sign in item for sign in "*?["):
        return set(snapshot.paths(photo_filter(item, None, None))), []
    return set(), []
