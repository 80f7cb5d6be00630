"""Why a hit came first: the outline of the query in it, and the two photos with their matches drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastcbir.image_index import PhotoHit
    from fastcbir.report import Picture, Section

__all__ = ["evidence", "found_in"]


def found_in(hit: PhotoHit) -> Picture:
    """The hit's thumbnail; where verification confirmed it, with the outline of the query."""
    from dataclasses import replace

    from fastcbir.extract.decode import DecodeError
    from fastcbir.match.drawing import draw_outline
    from fastcbir.report import picture_of

    if hit.confirmed and hit.matches is not None:
        try:
            drawn = picture_of(draw_outline(hit.path, hit.matches), hit.path.name, side=480)
            return replace(drawn, link=hit.path.absolute().as_uri())
        except DecodeError:
            pass  # gone since; picture_of says so
    return picture_of(hit.path, hit.path.name, side=480, linked=True)


def evidence(query: Path, hits: Sequence[PhotoHit]) -> list[Section]:
    """A section with the matches of each confirmed hit; none where nothing was confirmed."""
    from fastcbir.extract.decode import DecodeError
    from fastcbir.match.drawing import draw_matches
    from fastcbir.report import Card, Section, picture_of

    cards = []
    for hit in hits:
        if not hit.confirmed or hit.matches is None:
            continue
        try:
            drawn = draw_matches(query, hit.path, hit.matches, side=480)
        except DecodeError:
            continue
        told = f"{hit.matches.inliers} of {len(hit.matches)} matches agree"
        cards.append(
            Card(picture_of(drawn, told, side=980), f"{hit.rank}. {hit.path.name}", told, whole=True)
        )
    if not cards:
        return []
    text = "The query on the left, the hit on the right; lines from amber to green agree on one geometry."
    return [Section("Why these come first", (text,), cards=cards)]
