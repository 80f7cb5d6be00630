"""`fastcbir search`: the hits as a table, as lines, as JSON, or as a page of pictures."""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastcbir.cli.albums import album_path, open_album
from fastcbir.cli.codes import FAILED, OK, USAGE, CommandError
from fastcbir.cli.output import complain, document, say, shown

if TYPE_CHECKING:
    from fastcbir.image_index import PhotoHit

__all__ = ["Wanted", "asked_for", "search"]


@dataclass(frozen=True)
class Wanted:
    """What is searched for: a photo or words, how many hits, which photos pass, what verifies and widens."""

    asked: Path | str
    k: int
    glob: str | None = None
    after: str | None = None
    before: str | None = None
    verify: bool | str = False
    expand: int = 0

    @property
    def image(self) -> Path | None:
        return self.asked if isinstance(self.asked, Path) else None

    @property
    def name(self) -> str:
        return self.asked.name if isinstance(self.asked, Path) else f"“{self.asked}”"

    @property
    def filtered(self) -> bool:
        return (self.glob, self.after, self.before) != (None, None, None)


def asked_for(image: Path | None, text: str | None, verified: bool | str) -> Path | str:
    """What to search with: a photo or words, and one of them alone."""
    if image is not None and text is None:
        return image
    if text is None:
        raise CommandError("name a photo to search with (IMAGE), or words with --text", USAGE)
    if image is not None:
        raise CommandError("search with a photo or with --text, not with both", USAGE)
    if not text.strip():
        raise CommandError("--text is empty; give some words", USAGE)
    if verified:
        raise CommandError("--verify compares photos; leave it out where words are searched with", USAGE)
    return text


def search(wanted: Wanted, album: Path | None, *, json: bool, html: Path | None, show: bool) -> int:
    """Search and tell; finding nothing because no photo passes the filters is no failure."""
    from fastcbir.extract.decode import DecodeError
    from fastcbir.image_index import Text

    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        # Also for a photo's sake that was meant as IMAGE: it would be written over.
        raise CommandError(f"can't write a page to {html}: expected a name ending in .html or .htm", USAGE)
    if html is not None and not html.expanduser().absolute().parent.is_dir():
        raise CommandError(f"can't write {html}: its folder does not exist", USAGE)
    with open_album(album, writing=bool(wanted.verify) and os.access(album_path(album), os.W_OK)) as photos:
        path, total = photos.path, len(photos)
        try:
            hits: list[PhotoHit] = photos.search(
                wanted.asked if isinstance(wanted.asked, Path) else Text(wanted.asked),
                wanted.k,
                glob=wanted.glob,
                after=wanted.after,
                before=wanted.before,
                verify=wanted.verify,
                expand=wanted.expand,
            )
        except DecodeError as error:
            raise CommandError(f"can't search with {wanted.asked}: {_reason(error)}", FAILED) from error
    if json:
        document(
            "search",
            {
                "query": wanted.asked if wanted.image is None else wanted.image.absolute(),
                "album": path,
                "hits": [_fields(hit, bool(wanted.verify)) for hit in hits],
            },
        )
        return OK
    if not hits:
        filtered = total and wanted.filtered
        complain("no photo passes the filters" if filtered else f"the album {path} has no photos yet")
    if html is not None or show:
        return _page(wanted, hits, total, html, show)
    if sys.stdout.isatty():
        _table(hits)
    else:
        for hit in hits:
            say(f"{hit.rank}\t{hit.distance:.6f}\t{shown(hit.path)}")
    return OK


def _reason(error: Exception) -> str:
    """The extractor's words without its numbering of images: there is one."""
    text = str(error)
    return text.rpartition("): ")[2] if text.startswith("image 0") else text


def _fields(hit: PhotoHit, verified: bool) -> dict[str, object]:
    inliers = None if hit.matches is None else hit.matches.inliers
    return {
        "rank": hit.rank,
        "path": hit.path,
        "distance": hit.distance,
        "score": hit.score,
        "width": hit.width,
        "height": hit.height,
        "captured_at": hit.captured_at,
        **({"inliers": inliers, "confirmed": hit.confirmed} if verified else {}),
    }


def _near(path: Path) -> str:
    """A path as short as it can be said: from here, or from home."""
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~" + os.sep)):
        if path.is_relative_to(base):
            return prefix + shown(path.relative_to(base))
    return shown(path)


def _table(hits: list[PhotoHit]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False)
    roomy = console.width >= 90
    dated = roomy and any(hit.captured_at for hit in hits)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("similarity", justify="right")
    table.add_column("photo", overflow="fold")
    if roomy:
        table.add_column("pixels", justify="right", style="dim")
    if dated:
        table.add_column("taken", style="dim")
    if checked := any(hit.matches is not None for hit in hits):
        table.add_column("points that agree", justify="right")
    for hit in hits:
        # A link of its own is what terminals open on a click, however the path is shortened or folded.
        name = Text(_near(hit.path), style=f"link {hit.path.as_uri()}")
        cells: list[str | Text] = [str(hit.rank), f"{hit.score:.3f}", name]
        if roomy:
            cells.append(f"{hit.width} x {hit.height}")
        if dated:
            cells.append(f"{hit.captured_at:%Y-%m-%d %H:%M}" if hit.captured_at else "")
        if checked:
            cells.append("" if hit.matches is None else f"{hit.matches.inliers}{' *' * hit.confirmed}")
        table.add_row(*cells)
    if hits:
        console.print(table)


def _order(hits: list[PhotoHit]) -> str:
    """What the order of the hits is, for the page."""
    if any(hit.confirmed for hit in hits):
        return "What surely shows the same thing first, by the points that agree; then the nearest."
    return "The nearest first."


def _page(wanted: Wanted, hits: list[PhotoHit], total: int, html: Path | None, show: bool) -> int:
    from fastcbir.cli.evidence import evidence, found_in
    from fastcbir.report import Card, Page, Section, picture_of, write_page

    asked = None
    if wanted.image is not None:
        picture = picture_of(wanted.image, "the query", side=640, linked=True)
        asked = Card(picture, wanted.name, "the query", whole=True)
    cards = [
        Card(
            found_in(hit),
            f"{hit.rank}. {hit.path.name}",
            " · ".join(
                part
                for part in (
                    f"similarity {hit.score:.3f}",
                    f"{hit.matches.inliers} points agree" if hit.matches is not None else "",
                    f"{hit.width} × {hit.height}",
                    f"{hit.captured_at:%Y-%m-%d}" if hit.captured_at else "",
                )
                if part
            ),
        )
        for hit in hits
    ]
    page = Page(
        eyebrow="fastcbir search",
        title=f"Photos like {wanted.name}",
        lead=f"The nearest {len(hits):,} of {total:,} photos, by what they show.",
        sections=[
            Section(
                "Hits",
                (f"{_order(hits)} A click opens the photo.",) if hits else ("No photo found.",),
                cards=cards,
                asked=asked,
            ),
            *(evidence(wanted.image, hits) if wanted.image is not None else ()),
        ],
    )
    if html is None:
        # Kept: the browser reads it after this command has ended.
        html = Path(tempfile.mkdtemp(prefix="fastcbir-")) / "search.html"
    written = write_page(page, html.expanduser())
    say(shown(written))
    if show and not webbrowser.open(written.as_uri()):
        complain(f"no web browser could be started; open the page yourself: {written}")
    return OK
