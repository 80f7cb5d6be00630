"""`fastcbir demo`: runs it and prints its table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fastcbir.cli.codes import FAILED, OK, CommandError
from fastcbir.cli.output import document, failures, plural, quoted, say, shown, tell_failures
from fastcbir.cli.progress import progress_bar

if TYPE_CHECKING:
    from fastcbir.demo import DemoResult

__all__ = ["demo"]


def demo(photos: Path | None, out: Path, *, json: bool) -> int:
    """Run the demo and tell what came out."""
    from fastcbir.errors import require

    require("PIL.Image", "demo", "the demo")
    from fastcbir.demo import run_demo

    with progress_bar() as tell:
        try:
            result = run_demo(out, users_folder=photos, tell=tell)
        except FileExistsError as error:
            raise CommandError(str(error), FAILED) from error
    if json:
        document("demo", _fields(result))
    else:
        _tell(result)
    return OK


def _figures(result: DemoResult) -> dict[str, float | int | None]:
    from fastcbir.demo.evaluate import percentile_ms

    extract = [outcome.extract_s for outcome in result.outcomes]
    search = [outcome.search_s for outcome in result.outcomes]
    added = sum(report.added for report in result.indexing)
    seconds = sum(report.seconds for report in result.indexing)
    return {
        "index_ms_per_photo": 1000 * seconds / max(1, added),
        "extract_ms_p50": percentile_ms(extract, 50),
        "extract_ms_p99": percentile_ms(extract, 99),
        "search_ms_p50": percentile_ms(search, 50),
        "search_ms_p99": percentile_ms(search, 99),
        "model_load_s": result.load_s,
        "total_s": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "index_bytes": result.album.index_bytes,
    }


def _fields(result: DemoResult) -> dict[str, object]:
    return {
        "folder": result.folder,
        "page": result.page,
        "album": result.album.path,
        "extractor": result.album.extractor,
        "photographs": len(result.gallery.photos),
        "tiles": sum(map(len, result.gallery.tiles.values())),
        "your_photos": result.users_photos,
        "pictures": result.album.photos,
        "failed": failures([each for report in result.indexing for each in report.failed]),
        "kinds": [asdict(line) for line in result.summaries[:-1]],
        "overall": asdict(result.summaries[-1]),
        "figures": _figures(result),
    }


def _tell(result: DemoResult) -> None:
    from fastcbir.report.words import size

    figures = _figures(result)
    tiles = sum(map(len, result.gallery.tiles.values()))
    yours = f" and {plural(result.users_photos, 'photo')} of yours" if result.users_folder else ""
    tell_failures([each for report in result.indexing for each in report.failed])
    say(f"Searched {len(result.gallery.photos)} photographs, {tiles} tiles of them that lead astray{yours}")
    say(f"with altered views of the photographs, by {result.album.extractor}:")
    say("")
    say(f"  {'view':<14}{'queries':>8}{'recall@1':>11}{'mAP':>9}")
    for line in result.summaries:
        if line is result.summaries[-1]:
            say(f"  {'-' * 42}")
        recall, precision = 100 * line.recall_at_1, 100 * line.mean_average_precision
        say(f"  {line.title:<14}{line.queries:>8}{recall:>9.1f} %{precision:>7.1f} %")
    strict = 100 * result.summaries[-1].strict_recall_at_1
    say(f"  A photograph's own tiles are not counted; were they wrong: {strict:.1f} %")
    say("")
    say(f"  indexing a photo   {figures['index_ms_per_photo']:.0f} ms")
    say(f"  looking at a query {figures['extract_ms_p50']:.0f} ms (p99 {figures['extract_ms_p99']:.0f} ms)")
    say(f"  searching          {figures['search_ms_p50']:.2f} ms (p99 {figures['search_ms_p99']:.2f} ms)")
    memory = f"peak {size(result.peak_memory_bytes)}, " if result.peak_memory_bytes is not None else ""
    say(f"  memory             {memory}of it the index {size(result.album.index_bytes)}")
    say(f"  all in all         {result.seconds:.0f} s")
    say("")
    say(f"See every query with its hits: {shown(result.page)}")
    say(f"Search it yourself:            fastcbir search PHOTO --album {quoted(result.album.path)} --open")
