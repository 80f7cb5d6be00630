"""`fastcbir index` and `fastcbir sync`: what changed in the album, and what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fastcbir.cli.albums import album_path, open_album
from fastcbir.cli.codes import ALBUM, FAILED, OK, SETUP, USAGE, CommandError
from fastcbir.cli.output import complain, document, failures, plural, quoted, say, shown, tell_failures
from fastcbir.cli.progress import album_progress, progress_bar
from fastcbir.image_index import AddReport, ImageIndex

if TYPE_CHECKING:
    from fastcbir.extract.extractor import Extractor
    from fastcbir.extract.timings import Times

__all__ = ["index", "sync", "told"]


def index(
    folder: Path,
    album: Path | None,
    *,
    extractor: str | None,
    exclude: Sequence[str],
    retry: bool,
    json: bool,
    profile: bool = False,
) -> int:
    """Take in a folder; fails when that leaves it without a single photo."""
    path = album_path(album)
    if path.is_file():
        raise CommandError(
            f"the album {path} is a file; an album is a folder: name one that does not exist yet", ALBUM
        )
    if any(not pattern for pattern in exclude):
        raise CommandError('--exclude is empty; give a pattern such as "raw" or "*_small.jpg"', USAGE)
    if extractor is not None and path.exists():
        with ImageIndex.open(path, read_only=True) as photos:
            about = photos.info()
        used = about.model_id.partition("/")[0]
        if extractor not in (about.extractor, used):
            raise CommandError(
                f"the album {path} was made with the model {used}, whose vectors can't be compared with "
                f"those of {extractor}; leave out --extractor, or name another album with --album",
                SETUP,
            )
    loaded = _loaded(path, extractor) if profile else None
    with ImageIndex.open(path, create=True, extractor=loaded or extractor) as photos:
        with progress_bar() as tell:
            report = photos.add(folder, exclude=exclude, retry_failed=retry, progress=album_progress(tell))
        total = len(photos)
    found = report.added + report.updated + report.moved + report.unchanged
    code = OK if found else FAILED
    if json:
        fields = {"folder": folder.absolute(), "album": path, "photos": total, **_fields(report)}
        document("index", fields | ({"profile": asdict(loaded.timings.total())} if loaded else {}))
    elif not found and not report.failed:
        complain(
            f"there are no photos in {folder} (looked for JPEG, PNG, TIFF, WebP and the like, not in "
            "hidden folders)"
        )
        return code
    else:
        tell_failures(report.failed)
        if found:
            say(f"Indexed {shown(folder)}: {_changes(report)}.")
            if report.vanished:
                say(f"{plural(report.vanished, 'photo')} of it no longer there; `fastcbir sync` drops them.")
            say(
                f"The album has {plural(total, 'photo')}. Now try: fastcbir search PHOTO{_option(album)} "
                "--open"
            )
        else:
            complain(f"nothing in {folder} could be read as a photo")
    if loaded is not None and not json:
        for line in told(loaded.timings.total()):
            say(line)
    return code


def _loaded(path: Path, extractor: str | None) -> Extractor:
    """The extractor that the album will want, loaded here so that its timings can be read."""
    from fastcbir.extract import load_extractor
    from fastcbir.extract.registry import DEFAULT_MODEL

    if path.exists():
        with ImageIndex.open(path, read_only=True) as photos:
            extractor = photos.info().model_id.partition("/")[0]
    return load_extractor(extractor or DEFAULT_MODEL)


def told(times: Times) -> list[str]:
    """Where the time went, in lines."""
    if not times.photos:
        return ["No photo was read, so there is nothing to tell of its time."]
    wall, each = times.wall, 1000 / times.photos
    computing = times.decode + times.prepare
    return [
        f"{times.photos:,} photos in {wall:.1f} s, {times.photos / wall:.1f} a second; "
        f"bound by: {times.bound_by}",
        f"  model running        {times.model:8.2f} s  {times.model / wall:6.1%} of the time",
        f"  waiting for photos   {times.waited:8.2f} s  {times.waited / wall:6.1%}",
        f"  recording            {times.other:8.2f} s  {times.other / wall:6.1%}",
        "In the threads that run ahead, for each photo:",
        f"  reading and hashing  {times.read * each:8.2f} ms",
        f"  decoding             {times.decode * each:8.2f} ms of computing",
        f"  resizing             {times.prepare * each:8.2f} ms of computing",
        f"  in all {computing:.2f} s of computing, beside {times.model:.2f} s of the model",
    ]


def sync(album: Path | None, *, force: bool, retry: bool, json: bool) -> int:
    """Bring the album up to date."""
    with open_album(album, writing=True) as photos:
        if not photos.info().folders:
            complain("the album has no folders yet; add one with: fastcbir index FOLDER")
        with progress_bar() as tell:
            report = photos.sync(
                drop_missing_folders=force, retry_failed=retry, progress=album_progress(tell)
            )
        total = len(photos)
        path = photos.path
    if json:
        document("sync", {"album": path, "photos": total, **_fields(report)})
    else:
        tell_failures(report.failed)
        gone = f", {report.vanished:,} dropped" if report.vanished else ""
        say(f"In step with its folders: {_changes(report)}{gone}. The album has {plural(total, 'photo')}.")
    return OK


def _option(album: Path | None) -> str:
    return "" if album is None else f" --album {quoted(album)}"


def _changes(report: AddReport) -> str:
    counts = (
        (report.added, "new"),
        (report.updated, "changed"),
        (report.moved, "moved"),
        (report.unchanged, "unchanged"),
    )
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count) or "nothing new"
    read = report.added + report.updated
    rate = f", {read / report.seconds:.0f} photos/s" if read >= 10 and report.seconds >= 1 else ""
    return f"{told} ({report.seconds:.1f} s{rate})"


def _fields(report: AddReport) -> dict[str, object]:
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "unchanged": report.unchanged,
        "vanished": report.vanished,
        "failed": failures(report.failed),
        "seconds": round(report.seconds, 3),
    }
