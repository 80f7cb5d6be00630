"""The live progress bar: what, how far, how fast, how long still. Only for a person at a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastcbir.cli.output import is_terminal

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

    from fastcbir.image_index import AddProgress

__all__ = ["Tell", "album_progress", "progress_bar"]

Tell = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, how much there is or 0): told as often as the teller likes."""

_REDRAW_S = 0.1
_WORDS = {"scan": "Looking for photos", "read": "Reading photos", "index": "Building the index"}


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """Draws on standard error while the block runs, and leaves nothing behind."""
    if not is_terminal():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second, as smoothed by rich."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            if not speed:
                return Text("", style="progress.data.speed")
            return Text(f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s", style="progress.data.speed")

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
    stage = ""
    task = bar.add_task("Starting", total=None)
    drawn = 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal stage, drawn
        now = time.monotonic()
        if what != stage:
            stage = what
            bar.reset(task, description=what, total=total or None, completed=done)
        elif now - drawn < _REDRAW_S and done != total:
            return
        drawn = now
        bar.update(task, total=total or None, completed=done)

    with bar:
        yield tell


def album_progress(tell: Tell) -> Callable[[AddProgress], None]:
    """An album's progress as the bar takes it."""

    def progress(step: AddProgress) -> None:
        tell(_WORDS[step.stage], step.done, step.total)

    return progress
