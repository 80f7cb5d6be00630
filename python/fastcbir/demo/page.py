"""The demo's result as a page: the numbers, one search of each kind, every mistake, then everything."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastcbir import __version__, isa
from fastcbir.demo.evaluate import Outcome, percentile_ms
from fastcbir.demo.views import KINDS, OTHER_CAMERA
from fastcbir.image_index import PhotoHit
from fastcbir.report import Card, Fact, Page, Picture, Row, Section, Table, Verdict, picture_of
from fastcbir.report.words import percent, size

if TYPE_CHECKING:
    from fastcbir.demo.run import DemoResult

__all__ = ["make_page"]


@cache
def _thumbnail(path: Path, label: str) -> Picture:
    return picture_of(path, label)


def make_page(result: DemoResult) -> Page:
    """Everything that the demo found out."""
    _thumbnail.cache_clear()
    overall = result.summaries[-1]
    photos = len(result.gallery.photos)
    tiles = sum(map(len, result.gallery.tiles.values()))
    yours = f" and {result.users_photos:,} photos of yours" if result.users_folder else ""
    wrong = [outcome for outcome in result.outcomes if not outcome.first]
    return Page(
        eyebrow="fastcbir demo",
        title=f"{percent(overall.recall_at_1)} of altered photographs found at first place",
        lead=(
            "Photographs were cropped, turned, slanted, blurred, darkened and squeezed, and then searched "
            f"for by nothing but their content: {overall.queries} searches among {photos} photographs, "
            f"{tiles} tiles of them that lead astray{yours}. Tiles of the very photograph are not counted; "
            f"if they counted as wrong, it would be {percent(overall.strict_recall_at_1)}."
        ),
        facts=_facts(result),
        sections=[
            Section(
                "One search of each kind",
                (
                    "Left the query, right the nearest five: green the photograph that was asked for, red "
                    "any other (thin where the right one came first), grey a tile of the very photograph, "
                    "which counts neither way. Photographs take turns; nothing was chosen by its result.",
                ),
                rows=[_row(outcome) for outcome in _one_of_each(result.outcomes)],
            ),
            Section("By kind of view", table=_table(result)),
            Section(
                f"Every mistake ({len(wrong)})" if wrong else "No mistakes",
                (
                    "Searches whose first hit is not the photograph."
                    if wrong
                    else "Every first hit was right.",
                ),
                rows=[_row(outcome) for outcome in wrong],
            ),
            *_all_kinds(result.outcomes),
            _method(result),
            _credits(result),
        ],
        footer=f"Made by fastcbir {__version__}. {_machine()}",
    )


def _facts(result: DemoResult) -> list[Fact]:
    overall = result.summaries[-1]
    added = sum(report.added for report in result.indexing)
    seconds = sum(report.seconds for report in result.indexing)
    extract = [outcome.extract_s for outcome in result.outcomes]
    search = [outcome.search_s for outcome in result.outcomes]
    facts = [
        Fact(percent(overall.recall_at_1), "recall@1", f"{overall.queries} queries"),
        Fact(percent(overall.mean_average_precision), "mAP", "one right answer each"),
        Fact(f"{1000 * seconds / max(1, added):.0f} ms", "indexing a photo", f"{added:,} in {seconds:.1f} s"),
        Fact(
            f"{percentile_ms(extract, 50):.0f} ms",
            "looking at a query",
            f"p99 {percentile_ms(extract, 99):.0f} ms",
        ),
        Fact(
            f"{percentile_ms(search, 50):.2f} ms",
            f"searching {result.album.photos:,} pictures",
            f"p99 {percentile_ms(search, 99):.2f} ms",
        ),
    ]
    if result.peak_memory_bytes is not None:
        facts.append(
            Fact(
                size(result.peak_memory_bytes),
                "peak memory",
                f"the index itself: {size(result.album.index_bytes)}",
            )
        )
    return facts


def _table(result: DemoResult) -> Table:
    return Table(
        columns=("View", "recall@1", "mAP", "Queries", "What was done"),
        numbers=3,
        rows=[
            (
                line.title,
                percent(line.recall_at_1),
                percent(line.mean_average_precision),
                str(line.queries),
                line.what,
            )
            for line in result.summaries
        ],
        bars=[line.recall_at_1 for line in result.summaries],
        total=True,
    )


def _one_of_each(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One of each kind, each of another photograph: the kinds step through the photographs by turns."""
    chosen = []
    for turn, kind in enumerate((*KINDS, OTHER_CAMERA)):
        own = [outcome for outcome in outcomes if outcome.query.kind is kind]
        if own:
            chosen.append(own[turn * 5 % len(own)])
    return chosen


def _all_kinds(outcomes: Sequence[Outcome]) -> list[Section]:
    sections = []
    for kind in (*KINDS, OTHER_CAMERA):
        own = [outcome for outcome in outcomes if outcome.query.kind is kind]
        if own:
            right = sum(outcome.first for outcome in own)
            title = f"All of kind “{kind.title}”: {right} of {len(own)} right"
            sections.append(Section(title, rows=[_row(outcome) for outcome in own], folded=True))
    return sections


def _row(outcome: Outcome) -> Row:
    query = outcome.query
    label = f"{query.kind.title} of {query.name}"
    card = Card(_thumbnail(query.path, label), query.kind.title, query.name, whole=True)
    found = next((hit.rank for hit in outcome.hits if hit.path in outcome.right), 0)
    return Row(card, [_hit(outcome, hit, faint=0 < found < hit.rank) for hit in outcome.hits])


def _hit(outcome: Outcome, hit: PhotoHit, faint: bool) -> Card:
    verdict: Verdict = "wrong"
    if hit.path in outcome.right:
        verdict = "right"
    elif hit.path in outcome.query.ignored:
        verdict = "ignored"
    name = hit.path.stem
    return Card(_thumbnail(hit.path, name), name, f"distance {hit.distance:.3f}", verdict, faint)


def _method(result: DemoResult) -> Section:
    tiles = sum(map(len, result.gallery.tiles.values()))
    texts = [
        f"Queries are JPEG files made of the photographs with a fixed seed. Each is turned into a vector of "
        f"{result.album.dim} numbers by {result.album.extractor} and compared with those of the gallery by "
        f"cosine distance; the search is "
        f"{'exact' if result.album.index_kind == 'flat' else 'approximate (HNSW)'} at this size. Nothing "
        "is verified or re-ranked afterwards.",
        "A search is right when its first hit is the photograph the query was made of (recall@1). mAP is "
        "the mean average precision by revisitop's rule. Exact copies of a photograph are as right as "
        "itself.",
        f"The {tiles} tiles are parts of the larger photographs, cut without overlap, so that the gallery is "
        "larger and harder. Those of the photograph that is asked for are not counted; every other tile is a "
        "wrong answer.",
        "Times are wall times of this run on all cores: indexing reads, decodes and extracts each file and "
        "commits it to the album; looking at a query reads, decodes and extracts one file alone; searching "
        f"asks the album for ten hits. Getting the model ready took {result.load_s:.1f} s, the whole demo "
        f"{result.seconds:.0f} s.",
    ]
    if result.users_folder:
        texts.append(
            f"Of your {result.users_photos:,} photos, up to 24 drawn at random were asked for. Nearly "
            "equal photos of yours, such as a burst, count as wrong for each other."
        )
    return Section("How this was measured", texts)


def _credits(result: DemoResult) -> Section:
    photos = [*result.gallery.photos, *(other.photo for other in result.gallery.others)]
    rows = [(photo.name, *photo.credit.partition(": ")[::2]) for photo in photos]
    return Section(
        "Whose photographs", table=Table(("Name", "Package", "Credit and licence"), rows), folded=True
    )


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores, "
        f"distance kernels for {isa()}."
    )
