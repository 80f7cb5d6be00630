"""One self-contained HTML page of pictures and what was found for them. Needs Pillow for the thumbnails."""

from fastcbir.report.model import Card, Fact, Page, Picture, Row, Section, Table, Verdict
from fastcbir.report.pictures import picture_of
from fastcbir.report.render import render, write_page

__all__ = [
    "Card",
    "Fact",
    "Page",
    "Picture",
    "Row",
    "Section",
    "Table",
    "Verdict",
    "picture_of",
    "render",
    "write_page",
]
