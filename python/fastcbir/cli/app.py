"""The commands and their options. What they do is in the files beside this one, imported when a command
runs.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fastcbir.cli.app_models import Json, export, models_app
from fastcbir.cli.codes import HELP, USAGE, CommandError

__all__ = ["app"]

app = typer.Typer(
    help="Search your photos by what they show.\n\n"
    "First `fastcbir index FOLDER`, then `fastcbir search PHOTO`. Every folder goes into one album of "
    "yours, unless you name another one with --album.",
    epilog=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the time, for rich is not loaded
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import fastcbir

        typer.echo(f"fastcbir {fastcbir.__version__}")
        raise typer.Exit()


def _date(text: str | None) -> str | None:
    """Checks at the door what the album would refuse later."""
    if text is not None:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is no date or time such as 2024-05-31 or 2024-05-31T14:00"
            ) from None
    return text


def _glob(text: str | None) -> str | None:
    if text == "":
        raise typer.BadParameter('is empty; give a pattern such as "*.jpg" or "holiday/*"')
    return text


Album = Annotated[
    Path | None,
    typer.Option(
        "--album",
        metavar="PATH",
        envvar="FASTCBIR_ALBUM",
        show_default="your own, with your application data",
        help="The album, a folder named *.fcbir.",
    ),
]
Retry = Annotated[
    bool,
    typer.Option("--retry", help="Also try again files that could not be used before and have not changed."),
]
Matcher = Annotated[
    str | None,
    typer.Option(
        "--matcher",
        metavar="NAME",
        show_default="xfeat where its weights are installed, else sift",
        help="What compares photos point by point (docs/matching.md).",
    ),
]


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing happens before a command."""


@app.command()
def index(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, metavar="DIR", help="Folder of photos, with its sub-folders; or one photo."
        ),
    ],
    album: Album = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="the album's; efficientnet-lite0 for a new one",
            help="Model that looks at the photos; `fastcbir models` lists them.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help='Leave out what matches, such as "raw" or "*_small.jpg". Repeatable.'
        ),
    ] = None,
    retry: Retry = False,
    profile: Annotated[bool, typer.Option("--profile", help="Tell where the time went.")] = False,
    json: Json = False,
) -> int:
    """Take a folder of photos into the album.

    Only what is new or changed is read. Broken files are reported and skipped. Stop it when you like
    (Ctrl-C): the next run goes on from there. Hidden folders are left out; nothing is written among the
    photos.
    """
    from fastcbir.cli import indexing

    return indexing.index(
        folder,
        album,
        extractor=extractor,
        exclude=exclude or [],
        retry=retry,
        profile=profile,
        json=json,
    )


@app.command()
def search(
    image: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, metavar="IMAGE", help="Photo to search with."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help='Search with words instead, such as "a red car" (docs/extractors.md).'
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, max=10_000, metavar="N", help="At most so many photos.")
    ] = 10,
    album: Album = None,
    glob: Annotated[
        str | None,
        typer.Option(
            callback=_glob, metavar="GLOB", help='Only photos whose path matches, such as "holiday/*".'
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(callback=_date, metavar="DATE", help="Only photos taken at or after, as 2024-05-31."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(callback=_date, metavar="DATE", help="Only photos taken before, as 2024-05-31T14:00."),
    ] = None,
    json: Json = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write the hits to a page of pictures."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Show the hits in the web browser.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare point by point; what surely shows the same comes first."),
    ] = False,
    matcher: Matcher = None,
    expand: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            metavar="N",
            help="Search again with what the first N hits add; with --verify, with confirmed ones only.",
        ),
    ] = 0,
) -> int:
    """Find the photos that look most like one, or like what words say.

    The nearest come first; similarity is 1.000 for the same picture.
    """
    from fastcbir.cli import searching

    if json and (html is not None or show):
        raise CommandError("--json prints no page; leave out either --json, or --html and --open", USAGE)
    checked: bool | str = matcher or verify
    wanted = searching.Wanted(
        searching.asked_for(image, text, checked),
        k,
        glob=glob,
        after=after,
        before=before,
        verify=checked,
        expand=expand,
    )
    return searching.search(wanted, album, json=json, html=html, show=show)


@app.command()
def match(
    first: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="A", help="Photo of the thing.")
    ],
    second: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="B", help="Photo to find it in.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Draw the matches (.png or .jpg).")
    ] = None,
    matcher: Matcher = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="What verifies: homography, fundamental, or auto.")
    ] = "homography",
    hloc: Annotated[
        Path | None,
        typer.Option(metavar="PREFIX", help="Write PREFIX-features.h5 and PREFIX-matches.h5, for hloc."),
    ] = None,
    json: Json = False,
) -> int:
    """Tell which points of one photo are which of another, and whether geometry agrees."""
    from fastcbir.cli import matching

    return matching.match(first, second, out, matcher=matcher, model=model, hloc=hloc, json=json)


@app.command()
def info(album: Album = None, json: Json = False) -> int:
    """Tell what the album holds."""
    from fastcbir.cli import looking_after

    return looking_after.info(album, json=json)


@app.command()
def remove(
    photos: Annotated[
        list[str], typer.Argument(metavar="PATH|GLOB...", help='Photos, folders or globs ("*.png").')
    ],
    album: Album = None,
    json: Json = False,
) -> int:
    """Take photos out of the album; their files are not touched.

    `fastcbir sync` does not bring them back; `fastcbir index` does.
    """
    from fastcbir.cli import looking_after

    return looking_after.remove(photos, album, json=json)


@app.command()
def sync(
    album: Album = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also drop the photos of folders that are missing or empty as a whole."),
    ] = False,
    retry: Retry = False,
    json: Json = False,
) -> int:
    """Bring the album up to date with its folders: take in what is new or changed, drop what is gone.

    A folder that is missing or empty as a whole may lie on a disk that is not plugged in, so its photos are
    kept.
    """
    from fastcbir.cli import indexing

    return indexing.sync(album, force=force, retry=retry, json=json)


@app.command()
def whiten(
    strength: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, metavar="S", help="From 0, none, to 1: all directions count alike."),
    ] = 0.5,
    dim: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default="all", help="Keep the N strongest directions."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Forget what was learned.")] = False,
    album: Album = None,
    json: Json = False,
) -> int:
    """Learn from the album's own photos which differences tell them apart; all searches then use it."""
    from fastcbir.cli import looking_after

    return looking_after.whiten(None if off else strength, dim, album, json=json)


app.add_typer(models_app, name="models")
app.command()(export)


@app.command()
def verify(album: Album = None, json: Json = False) -> int:
    """Check the album: its files, its vectors, and that its photos are as they were.

    Changes nothing. Problems end in exit code 3.
    """
    from fastcbir.cli import looking_after

    return looking_after.verify(album, json=json)


@app.command()
def demo(
    photos: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, metavar="DIR", help="Photos of yours to search besides."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(file_okay=False, metavar="DIR", help="Folder for the pictures, the album and the page."),
    ] = Path("fastcbir-demo"),
    json: Json = False,
) -> int:
    """Try it on real photographs: alter them, search for them, and tell how often that succeeds.

    Needs no download: the photographs come inside scikit-image, scikit-learn and matplotlib.
    """
    from fastcbir.cli import demonstrating

    return demonstrating.demo(photos, out, json=json)
