"""What a page is made of: values only, no HTML. Texts are plain; render.py escapes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Card", "Fact", "Page", "Picture", "Row", "Section", "Table", "Verdict"]

Verdict = Literal["right", "wrong", "ignored"]


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        uri: "data:image/jpeg;base64,...". A picture that a page shows often is stored in it once.
        width, height: of the thumbnail, in pixels.
        label: what it shows, for those who can't see it.
        link: where a click leads, such as the file:// address of the photo; None for nowhere.
    """

    uri: str
    width: int
    height: int
    label: str
    link: str | None = None


@dataclass(frozen=True)
class Card:
    """A picture with its caption, and whether it is a right answer (None where nobody knows).

    Attributes:
        picture: shown.
        caption: the main line below it.
        note: a quieter second line.
        verdict: its border and its mark.
        faint: a thin border and no mark, for a verdict that needs no attention.
        whole: show the whole picture, however narrow, instead of filling the frame with its middle.
    """

    picture: Picture
    caption: str
    note: str = ""
    verdict: Verdict | None = None
    faint: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Row:
    """A query and its hits, the nearest first."""

    query: Card
    hits: Sequence[Card]


@dataclass(frozen=True)
class Fact:
    """A number worth a tile: "98.1 %", what it is, and a quieter remark."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of texts and of numbers already put in words.

    Attributes:
        columns: headings.
        rows: one cell per column. A last row that sums up is set apart by `total`.
        numbers: how many columns after the first hold numbers; the rest hold texts.
        bars: for each row a share in 0..1 drawn as a bar behind the second column; empty for none.
        total: whether the last row sums up the others.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 0
    bars: Sequence[float] = ()
    total: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, a paragraph or several, then a table, rows or a grid of cards.

    Attributes:
        title: the heading.
        text: paragraphs.
        rows: queries with their hits.
        cards: a grid of pictures.
        asked: the query that the cards answer, beside them.
        table: numbers.
        folded: closed until the reader opens it.
    """

    title: str
    text: Sequence[str] = ()
    rows: Sequence[Row] = ()
    cards: Sequence[Card] = ()
    asked: Card | None = None
    table: Table | None = None
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: the heading, and the browser's title.
        eyebrow: a small line above it.
        lead: the paragraph below it.
        facts: tiles.
        sections: in order.
        footer: the last, quiet line.
    """

    title: str
    lead: str = ""
    eyebrow: str = ""
    facts: Sequence[Fact] = ()
    sections: Sequence[Section] = ()
    footer: str = ""
