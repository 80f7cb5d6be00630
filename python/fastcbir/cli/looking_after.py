"""`fastcbir info`, `remove`, `whiten` and `verify`: what there is, taking out, learning, checking."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fastcbir.cli.albums import open_album
from fastcbir.cli.codes import ALBUM, FAILED, OK
from fastcbir.cli.output import complain, document, failures, plural, say, shown

__all__ = ["info", "remove", "verify", "whiten"]


def info(album: Path | None, *, json: bool) -> int:
    """What the album is and holds."""
    with open_album(album) as photos:
        about = photos.info()
    if json:
        fields = {**vars(about), "album": about.path, "failed": failures(about.failed)}
        del fields["path"]
        document("info", {key: fields[key] for key in sorted(fields)})
        return OK
    from fastcbir.report.words import size

    say(f"Album     {shown(about.path)}")
    copies = f" ({about.contents:,} different ones)" if about.contents != about.photos else ""
    say(f"Photos    {about.photos:,}{copies}")
    for number, folder in enumerate(about.folders):
        say(f"{'Folders' if not number else '':<10}{shown(folder)}")
    say(f"Model     {about.extractor}, {about.dim} numbers a photo, {about.metric} distance")
    if about.projection:
        say(f"Compared  through {about.projection}")
    kind = {"flat": "exact", "hnsw": "approximate (HNSW)"}.get(about.index_kind, about.index_kind)
    say(f"Search    {kind}, index {size(about.index_bytes)}, catalogue {size(about.catalogue_bytes)}")
    say(f"Made      {about.created_at:%Y-%m-%d %H:%M}")
    if about.failed:
        say(f"Unusable  {plural(len(about.failed), 'file')}:")
        for each in about.failed:
            say(f"          {shown(each.path)}: {shown(each.reason)}")
    return OK


def remove(photos: Sequence[str], album: Path | None, *, json: bool) -> int:
    """Take photos out; fails when nothing matched."""
    with open_album(album, writing=True) as opened:
        count = opened.remove(list(photos))
        total, path = len(opened), opened.path
    if json:
        document("remove", {"album": path, "removed": count, "photos": total})
    elif count:
        say(
            f"Took {plural(count, 'photo')} out of the album, which now has {total:,}. The files are "
            "untouched."
        )
    else:
        quoting = "" if any(glob.has_magic(each) for each in photos) else "; quote globs, as in 'holiday/*'"
        complain(f"no photo of the album matches {', '.join(photos)}{quoting}")
    return OK if count else FAILED


def whiten(strength: float | None, dim: int | None, album: Path | None, *, json: bool) -> int:
    """Learn whitening, or forget it where strength is None."""
    with open_album(album, writing=True) as opened:
        count = opened.learn_whitening(strength, dim=dim)
        about = opened.info()
    if json:
        document("whiten", {"album": about.path, "learned_from": count, "projection": about.projection})
    elif strength is None:
        say("Photos are compared by the model's own vectors.")
    else:
        say(f"Learned from {plural(count, 'photo')}; photos are now compared through {about.projection}.")
    return OK


def verify(album: Path | None, *, json: bool) -> int:
    """Check everything; problems are the album's exit code."""
    with open_album(album) as photos:
        problems = photos.verify_integrity()
        total, path = len(photos), photos.path
    if json:
        told = [{"kind": each.kind, "path": each.path, "message": each.message} for each in problems]
        document("verify", {"album": path, "photos": total, "problems": told})
    else:
        for each in problems:
            say(f"{each.kind}: {shown(each.path)}: {shown(each.message)}")
        if problems:
            complain(f"{plural(len(problems), 'problem')} found in {path}")
        else:
            say(f"All is well with {plural(total, 'photo')} in {shown(path)}.")
    return ALBUM if problems else OK
