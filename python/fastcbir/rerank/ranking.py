"""Re-ranking by verification: photos that geometry confirms move ahead, the rest keep their order.

Ordering all candidates by inliers loses: among photos that show something else, inliers are chance, and
chance would undo what the vectors know. So only photos with `min_inliers` or more move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastcbir.rerank.matches import Matches

__all__ = ["Ranked", "rerank"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Ranked(Generic[T]):
    """A candidate at its new place.

    Attributes:
        item: the candidate.
        before: its place before, from 0.
        matches: verified matches; None where it was not looked at, or could not be confirmed any more.
        confirmed: whether it moved ahead.
    """

    item: T
    before: int
    matches: Matches | None
    confirmed: bool


def rerank(
    candidates: Sequence[T],
    match: Callable[[T], Matches | None],
    verify: Callable[[Matches], Matches],
    *,
    k: int,
    min_inliers: int,
    enough: int | None = None,
) -> list[Ranked[T]]:
    """Candidates in their new order: the confirmed ones by inliers (equal ones as they came), then the rest.

    Work that can't change the first k is left out. A pair has at most as many inliers as matches, so where
    these are fewer than `min_inliers`, or no more than the inliers of the k-th confirmed photo, nothing is
    verified; that changes no answer. With `enough`, a k-th confirmed photo with so many inliers ends the
    whole: later candidates might have had more, and are not looked at.

    Args:
        candidates: the most similar first.
        match: the matches of the query with a candidate; None where its photo can't be read.
        verify: fills in the inliers.
        k: how many of the first places matter.
        min_inliers: from how many inliers on a photo is confirmed.
        enough: inliers of the k-th confirmed photo that end the search; None to look at all candidates.
    """
    if k < 1 or min_inliers < 1:
        raise ValueError(f"k and min_inliers must be at least 1, got {k} and {min_inliers}")
    best: list[tuple[int, int]] = []  # (minus inliers, place), sorted: the confirmed ones
    looked: list[Matches | None] = [None] * len(candidates)
    for place, candidate in enumerate(candidates):
        to_beat = -best[k - 1][0] if len(best) >= k else 0
        if enough is not None and len(best) >= k and to_beat >= enough:
            break
        found = match(candidate)
        if found is None:
            continue
        if len(found) < min_inliers or len(found) <= to_beat:
            looked[place] = found
            continue
        found = verify(found)
        looked[place] = found
        if found.inliers >= min_inliers:
            best.append((-found.inliers, place))
            best.sort()
    ahead = [place for _, place in best]
    rest = sorted(set(range(len(candidates))) - set(ahead))
    return [
        Ranked(candidates[place], place, looked[place], number < len(ahead))
        for number, place in enumerate(ahead + rest)
    ]
