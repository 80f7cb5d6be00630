"""Every query searched for, judged and timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastcbir.demo.views import Kind
from fastcbir.extract import Extractor
from fastcbir.image_index import ImageIndex, PhotoHit
from fastcbir.metrics import average_precision, precision_at_k

__all__ = ["Outcome", "Query", "Summary", "ask", "peak_memory_bytes", "percentile_ms", "summarise"]

SHOWN = 5
_DEPTH = 1000


@dataclass(frozen=True)
class Query:
    """A view, and what it is a view of.

    Attributes:
        kind: of the view.
        name: of the photograph, for people.
        path: of the view's file.
        right: the photograph's file in the gallery.
        ignored: files that are neither right nor wrong: tiles of the photograph.
    """

    kind: Kind
    name: str
    path: Path
    right: Path
    ignored: Collection[Path] = ()


@dataclass(frozen=True)
class Outcome:
    """What a query found.

    Attributes:
        query: as asked.
        hits: the first SHOWN, the nearest first.
        right: the paths that counted as right: the photograph and exact copies of it.
        first: whether the first hit that counts was right.
        average_precision: 0..1, by revisitop's rule.
        extract_s, search_s: seconds to make the vector of the view's file, and to search for it (k = 10).
    """

    query: Query
    hits: list[PhotoHit]
    right: frozenset[Path]
    first: bool
    average_precision: float
    extract_s: float
    search_s: float


@dataclass(frozen=True)
class Summary:
    """Means over the queries of one kind, or of all.

    Attributes:
        title, what: of the kind of view.
        queries: how many.
        recall_at_1: share whose first hit that counts was right.
        strict_recall_at_1: the same if what is ignored counted as wrong.
        mean_average_precision: by revisitop's rule.
    """

    title: str
    what: str
    queries: int
    recall_at_1: float
    strict_recall_at_1: float
    mean_average_precision: float


def ask(album: ImageIndex, extractor: Extractor, query: Query) -> Outcome:
    """Search for one query as a user would, time it, and then look at the whole ranking to judge it."""
    started = time.perf_counter()
    vector = extractor.extract([query.path])[0]
    extracted = time.perf_counter()
    album.search(vector, k=10)
    searched = time.perf_counter()
    ranking: list[PhotoHit] = album.search(vector, k=min(_DEPTH, max(SHOWN, len(album))))
    # An exact copy of the photograph in another place has its very vector, and is as right as itself.
    own = [hit.distance for hit in ranking if hit.path == query.right]
    right = frozenset({query.right, *(hit.path for hit in ranking if hit.distance in own)})
    ids = {path: number for number, path in enumerate({hit.path for hit in ranking} | right)}
    ranked = [ids[hit.path] for hit in ranking]
    relevant = [ids[path] for path in right]
    junk = [ids[path] for path in set(query.ignored) - right if path in ids]
    return Outcome(
        query=query,
        hits=ranking[:SHOWN],
        right=right,
        first=precision_at_k(ranked, relevant, 1, junk) == 1.0,
        average_precision=average_precision(ranked, relevant, junk),
        extract_s=extracted - started,
        search_s=searched - extracted,
    )


def summarise(outcomes: Sequence[Outcome], kinds: Iterable[Kind]) -> list[Summary]:
    """One line for each kind that was asked, and a last one for all queries together."""
    lines = []
    for kind in kinds:
        own = [outcome for outcome in outcomes if outcome.query.kind is kind]
        if own:
            lines.append(_summary(kind.title, kind.what, own))
    return [*lines, _summary("All views", "", outcomes)]


def _summary(title: str, what: str, outcomes: Sequence[Outcome]) -> Summary:
    return Summary(
        title,
        what,
        len(outcomes),
        float(np.mean([outcome.first for outcome in outcomes])),
        float(np.mean([outcome.hits[0].path in outcome.right for outcome in outcomes])),
        float(np.mean([outcome.average_precision for outcome in outcomes])),
    )


def percentile_ms(seconds: Iterable[float], percent: float) -> float:
    """A percentile of some durations, in milliseconds."""
    return float(np.percentile(np.fromiter(seconds, np.float64), percent)) * 1000


def peak_memory_bytes() -> int | None:
    """The most memory this process has held (resident set), or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
