"""From a Page to HTML: one file, no scripts, nothing loaded from anywhere."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from fastcbir.report.model import Card, Fact, Page, Picture, Row, Section, Table

__all__ = ["render", "write_page"]

_MARKS = {"right": ("✓", "right"), "wrong": ("✗", "wrong"), "ignored": ("–", "not counted")}


def write_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write the page to a file, whole or not at all, and return its absolute path.

    Raises:
        OSError: the file can't be written.
    """
    target = Path(path).absolute()
    content = render(page).encode()
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)  # mkstemp makes it private; a page is for showing
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return target


def render(page: Page) -> str:
    """The whole HTML document; valid UTF-8 whatever the texts hold."""
    pictures = _Pictures()
    body = "\n".join(_body(page, pictures))
    style = (files("fastcbir.report") / "page.css").read_text(encoding="utf-8")
    document = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(page.title)}</title>\n<style>\n{style}{pictures.rules()}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    # File names need not be Unicode: what is not becomes a question mark here.
    return document.encode("utf-8", "replace").decode("utf-8")


class _Pictures:
    """Each different picture once, as a style rule that elements refer to by class."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def name(self, picture: Picture) -> str:
        return f"p{self._numbers.setdefault(picture.uri, len(self._numbers))}"

    def rules(self) -> str:
        return "".join(
            f'.p{number}{{background-image:url("{uri}")}}\n' for uri, number in self._numbers.items()
        )


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _body(page: Page, pictures: _Pictures) -> Iterator[str]:
    yield "<header>"
    if page.eyebrow:
        yield f'<p class="eyebrow">{_text(page.eyebrow)}</p>'
    yield f"<h1>{_text(page.title)}</h1>"
    if page.lead:
        yield f'<p class="lead">{_text(page.lead)}</p>'
    yield "</header>"
    if page.facts:
        yield from _facts(page.facts)
    for section in page.sections:
        yield from _section(section, pictures)
    if page.footer:
        yield f"<footer>{_text(page.footer)}</footer>"


def _facts(facts: Iterable[Fact]) -> Iterator[str]:
    yield '<dl class="facts">'
    for fact in facts:
        note = f"<small>{_text(fact.note)}</small>" if fact.note else ""
        yield f"<div><dt>{_text(fact.label)}</dt><dd>{_text(fact.value)}{note}</dd></div>"
    yield "</dl>"


def _section(section: Section, pictures: _Pictures) -> Iterator[str]:
    if section.folded:
        yield f"<details><summary>{_text(section.title)}</summary>"
    else:
        yield f"<section><h2>{_text(section.title)}</h2>"
    yield from (f'<p class="text">{_text(paragraph)}</p>' for paragraph in section.text)
    if section.table:
        yield from _table(section.table)
    for row in section.rows:
        yield from _row(row, pictures)
    if section.asked:
        yield f'<div class="beside"><div class="asked">{_card(section.asked, pictures)}</div>'
    if section.cards:
        yield '<div class="grid">'
        yield from (_card(card, pictures) for card in section.cards)
        yield "</div>"
    if section.asked:
        yield "</div>"
    yield "</details>" if section.folded else "</section>"


def _table(table: Table) -> Iterator[str]:
    kinds = [' class="n"' if 1 <= column <= table.numbers else "" for column in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{kind}>{_text(column)}</th>'
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    yield f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>'
    for number, row in enumerate(table.rows):
        first, *others = row
        cells = [f'<th scope="row">{_text(first)}</th>']
        for column, cell in enumerate(others, start=1):
            share = table.bars[number] if column == 1 and number < len(table.bars) else None
            bar = "" if share is None else f'<i class="bar" style="--share:{share:.4f}"></i>'
            cells.append(f"<td{kinds[column]}>{bar}<span>{_text(cell)}</span></td>")
        total = ' class="total"' if table.total and number == len(table.rows) - 1 else ""
        yield f"<tr{total}>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _row(row: Row, pictures: _Pictures) -> Iterator[str]:
    yield '<div class="row"><div class="query">'
    yield _card(row.query, pictures)
    yield '</div><div class="hits">'
    yield from (_card(card, pictures) for card in row.hits)
    if not row.hits:
        yield '<p class="none">no photo found</p>'
    yield "</div></div>"


def _card(card: Card, pictures: _Pictures) -> str:
    mark, meaning = _MARKS[card.verdict] if card.verdict else ("", "")
    label = ", ".join(part for part in (card.picture.label, meaning) if part)
    badge = f'<b aria-hidden="true">{mark}</b>' if mark and not card.faint else ""
    classes = f"pic {pictures.name(card.picture)}{' whole' if card.whole else ''}"
    frame = (
        f'<span class="frame"><span class="{classes}" role="img" aria-label="{_text(label)}"></span>'
        f"{badge}</span>"
    )
    if card.picture.link:
        frame = f'<a href="{_text(card.picture.link)}">{frame}</a>'
    note = f"<small>{_text(card.note)}</small>" if card.note else ""
    kind = f" {card.verdict}{' faint' if card.faint else ''}" if card.verdict else ""
    return f'<figure class="card{kind}">{frame}<figcaption>{_text(card.caption)}{note}</figcaption></figure>'
