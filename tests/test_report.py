"""Promise: a page is one valid file that needs nothing else, and stores each picture once."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from PIL import Image

from fastcbir.report import Card, Fact, Page, Picture, Row, Section, Table, picture_of, render, write_page
from fastcbir.report.words import percent, size

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    """Collects what is read, and fails on elements that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def classes(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]


def read(document: str) -> Checker:
    checker = Checker()
    checker.feed(document)
    checker.close()
    assert checker.open == []
    return checker


def picture(colour: str, label: str = "a picture") -> Picture:
    return picture_of(Image.new("RGB", (40, 30), colour), label)


RED, BLUE = picture("red"), picture("blue")


def full_page() -> Page:
    return Page(
        title="Title & <more>",
        eyebrow="eyebrow",
        lead="lead",
        facts=[Fact("98.1 %", "recall@1", "of 7")],
        sections=[
            Section(
                "Numbers", ("a paragraph",), table=Table(("View", "r", "n", "What"), TABLE, 2, (0.25,), True)
            ),
            Section(
                "Rows",
                rows=[
                    Row(
                        Card(RED, "query"), [Card(BLUE, "b", "d 1", "wrong"), Card(RED, "r", verdict="right")]
                    ),
                    Row(Card(BLUE, "query 2"), []),
                ],
            ),
            Section(
                "Cards", cards=[Card(BLUE, "tile", verdict="ignored"), Card(RED, "x", "", "wrong", True)]
            ),
            Section("Answers", cards=[Card(RED, "answer")], asked=Card(BLUE, "question")),
            Section("Folded", ("inside",), folded=True),
        ],
        footer="footer",
    )


TABLE = (("Crop", "25 %", "4", "cut"), ("All", "50 %", "8", ""))


def test_everything_given_is_there_and_nests() -> None:
    checker = read(render(full_page()))
    for text in ("Title & <more>", "eyebrow", "lead", "98.1 %", "recall@1", "of 7", "a paragraph", "Crop"):
        assert text in checker.text
    for text in (
        "query",
        "d 1",
        "no photo found",
        "tile",
        "answer",
        "question",
        "Folded",
        "inside",
        "footer",
    ):
        assert text in checker.text
    names = [tag for tag, _ in checker.elements]
    assert names.count("title") == names.count("h1") == names.count("details") == 1


def test_the_page_needs_nothing_else() -> None:
    document = render(full_page())
    checker = read(document)
    names = {tag for tag, _ in checker.elements}
    assert not names & {"script", "link", "iframe", "object", "embed"}
    assert not any("src" in attrs for _, attrs in checker.elements)
    style = document[document.index("<style>") : document.index("</style>")]
    assert "@import" not in style
    assert all(address.startswith('"data:image/') for address in re.findall(r"url\(([^)]*)\)", style))


def test_a_picture_is_stored_once_however_often_it_is_shown() -> None:
    document = render(full_page())
    assert document.count(RED.uri) == document.count(BLUE.uri) == 1
    assert len(read(document).classes("pic")) == 8


def test_verdicts_are_told_by_border_mark_and_word() -> None:
    checker = read(render(full_page()))
    assert [len(checker.classes(name)) for name in ("right", "wrong", "ignored", "faint")] == [1, 2, 1, 1]
    assert (checker.text.count("✓"), checker.text.count("✗")) == (1, 1)  # none for the faint one
    labels = [attrs["aria-label"] for attrs in checker.classes("pic")]
    assert labels.count("a picture, wrong") == 2
    assert labels.count("a picture, right") == 1


def test_bars_and_columns_of_numbers() -> None:
    checker = read(render(full_page()))
    assert [attrs["style"] for attrs in checker.classes("bar")] == ["--share:0.2500"]
    assert len(checker.classes("n")) == 2 * 3
    assert len(checker.classes("total")) == 1


def test_texts_cannot_become_elements() -> None:
    evil = '"><script>alert(1)</script>'
    checker = read(
        render(
            Page(
                title=evil,
                facts=[Fact(evil, evil, evil)],
                sections=[
                    Section(
                        evil,
                        (evil,),
                        [Row(Card(picture("red", evil), evil, evil), [])],
                        table=Table((evil,), ((evil,),)),
                    )
                ],
            )
        )
    )
    assert "script" not in {tag for tag, _ in checker.elements}
    assert checker.text.count(evil) == 11


def test_a_thumbnail_is_a_small_jpeg(tmp_path: Path) -> None:
    Image.new("L", (900, 600), 128).save(tmp_path / "grey.png")
    shown = picture_of(tmp_path / "grey.png", "grey", side=90, linked=True)
    assert (shown.width, shown.height) == (90, 60)
    assert shown.link == (tmp_path / "grey.png").as_uri()
    data = base64.b64decode(shown.uri.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (90, 60), "RGB")


def test_a_photo_that_is_gone_leaves_a_mark_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    for name in ("gone.jpg", "broken.jpg"):
        shown = picture_of(tmp_path / name, "a photo")
        assert shown.uri.startswith("data:image/svg+xml;base64,")
        assert shown.label.startswith("a photo (")


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    written = write_page(Page(title=name), tmp_path / "page.html")
    assert "<h1>caf?</h1>" in written.read_text(encoding="utf-8")


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    assert write_page(Page(title="first"), target) == target

    def fail(self: Path, other: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(Page(title="second"), target)
    assert "first" in target.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_words() -> None:
    assert (percent(0.98765), percent(1.0)) == ("98.8 %", "100.0 %")
    assert [size(count) for count in (0, 999, 1000, 123_456, 1_540_000, 2e9, 5e12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "123 kB",
        "1.5 MB",
        "2.0 GB",
        "5000.0 GB",
    ]
