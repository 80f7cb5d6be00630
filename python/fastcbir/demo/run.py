"""The demo from beginning to end: gallery, album, queries, page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fastcbir.demo.evaluate import Outcome, Query, Summary, ask, peak_memory_bytes, summarise
from fastcbir.demo.gallery import Gallery, GalleryPhoto, make_gallery
from fastcbir.demo.views import KINDS, OTHER_CAMERA, SOURCE_SIDE, make_view
from fastcbir.extract import DEFAULT_MODEL, Extractor, load_extractor
from fastcbir.extract.decode import decode
from fastcbir.image_index import AddReport, AlbumInfo, ImageIndex

__all__ = ["DemoResult", "run_demo"]

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0: not known yet)."""

_MARK = ".fastcbir-demo"
_OWN_NAMES = ("photos", "tiles", "other-photos", "queries", "album.fcbir", "demo.html")
_USERS_QUERIES = 24  # photos of the user's folder that views are made of


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and measured.

    Attributes:
        folder: where everything is.
        page: the HTML page in it.
        album: what was searched.
        gallery: the packages' photographs and their tiles.
        users_folder, users_photos: the user's folder, or None, and how many of its photos are in the album.
        outcomes: every query with what it found.
        summaries: per kind of view, the last for all together.
        indexing: what the album reported of taking in the gallery.
        load_s: seconds to get the model ready (the first time it is converted from its weights).
        seconds: for everything.
        peak_memory_bytes: of this process, or None where the system does not tell.
    """

    folder: Path
    page: Path
    album: AlbumInfo
    gallery: Gallery
    users_folder: Path | None
    users_photos: int
    outcomes: list[Outcome]
    summaries: list[Summary]
    indexing: list[AddReport]
    load_s: float
    seconds: float
    peak_memory_bytes: int | None


def run_demo(
    folder: Path,
    *,
    users_folder: Path | None = None,
    extractor: str = DEFAULT_MODEL,
    seed: int = 0,
    tell: Tell = lambda what, done, total: None,
) -> DemoResult:
    """Run the demo.

    Args:
        folder: made, and filled with the gallery, the queries, the album and the page. One that an earlier
            demo made is made anew.
        users_folder: photos to search besides; they are read where they are, and nothing is written there.
        extractor: a name of the registry.
        seed: of the views.
        tell: progress; an exception raised in it ends the demo.

    Raises:
        FileExistsError: `folder` holds something else.
        MissingExtraError: the extra "demo" is not installed.
        ModelError, OSError: as ImageIndex.add() raises them.
    """
    from fastcbir.demo.page import make_page
    from fastcbir.report import write_page

    started = time.perf_counter()
    folder = _prepare(folder)
    tell("Getting the model ready", 0, 0)
    model = load_extractor(extractor)
    ready = time.perf_counter()
    gallery = make_gallery(folder / "photos", folder / "tiles", folder / "other-photos")
    with ImageIndex.open(folder / "album.fcbir", create=True, extractor=model) as album:
        indexing = _index(album, folder, users_folder, tell)
        own = {photo.path for photo in gallery.photos}.union(*gallery.tiles.values())
        users = [path for path in album.paths() if path not in own]
        queries = list(_queries(gallery, users, folder / "queries", seed, tell))
        outcomes = _ask_all(album, model, queries, tell)
        info = album.info()
    result = DemoResult(
        folder=folder,
        page=folder / "demo.html",
        album=info,
        gallery=gallery,
        users_folder=users_folder,
        users_photos=len(users),
        outcomes=outcomes,
        summaries=summarise(outcomes, (*KINDS, OTHER_CAMERA)),
        indexing=indexing,
        load_s=ready - started,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory_bytes(),
    )
    tell("Writing the page", 0, 0)
    write_page(make_page(result), result.page)
    return result


def _prepare(folder: Path) -> Path:
    """An empty folder of the demo's own, links resolved as the album does. Never empties anyone else's."""
    folder = folder.expanduser().resolve()
    if folder.exists():
        if not folder.is_dir():
            raise FileExistsError(f"{folder} is a file; name a folder for the demo with --out")
        others = sorted(each.name for each in folder.iterdir() if each.name != _MARK)
        if others and not (folder / _MARK).exists():
            raise FileExistsError(
                f"{folder} has other things in it ({others[0]!r}, {len(others)} in all); name a new or empty "
                "folder for the demo with --out"
            )
        for name in _OWN_NAMES:
            old = folder / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("Made by `fastcbir demo`; the next run makes it anew.\n", encoding="utf-8")
    return folder


def _index(album: ImageIndex, folder: Path, users_folder: Path | None, tell: Tell) -> list[AddReport]:
    def progress_of(what: str) -> Callable[..., None]:
        return lambda step: tell(what, step.done, step.total) if step.stage == "read" else None

    reports = [album.add([folder / "photos", folder / "tiles"], progress=progress_of("Indexing the gallery"))]
    if users_folder is not None:
        # The demo's own folder may lie in the user's, as with --photos . ; its name is meant to the letter.
        own = "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(folder))
        progress = progress_of("Indexing your photos")
        reports.append(album.add(users_folder, exclude=[own], progress=progress))
    return reports


def _queries(gallery: Gallery, users: list[Path], folder: Path, seed: int, tell: Tell) -> Iterator[Query]:
    """Make the files of all views."""
    sample = sorted(Random(seed).sample(users, min(len(users), _USERS_QUERIES)))
    mine = [GalleryPhoto(f"yours-{number:02}", path, "your folder") for number, path in enumerate(sample, 1)]
    photos = [*gallery.photos, *mine]
    folder.mkdir()
    for number, photo in enumerate(photos):
        tell("Making views", number, len(photos))
        image = decode(photo.path, SOURCE_SIDE).image.copy()
        image.thumbnail((SOURCE_SIDE, SOURCE_SIDE))
        for kind in KINDS:
            path = folder / f"{photo.name}-{kind.name}.jpg"
            path.write_bytes(make_view(kind, image, photo.name, seed))
            name = photo.name if photo.credit != "your folder" else photo.path.name
            yield Query(kind, name, path, photo.path, gallery.tiles.get(photo.name, ()))
    for other in gallery.others:
        right = other.same_scene
        yield Query(OTHER_CAMERA, right.name, other.photo.path, right.path, gallery.tiles[right.name])


def _ask_all(album: ImageIndex, model: Extractor, queries: list[Query], tell: Tell) -> list[Outcome]:
    outcomes = []
    ask(album, model, queries[0])  # not counted: the first call loads what later ones share
    for number, query in enumerate(queries):
        tell("Searching", number, len(queries))
        outcomes.append(ask(album, model, query))
    return outcomes
