"""What the commands write: results to standard output, everything else to standard error; never a crash over
a file name. Standard library only.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcbir.extract.results import Failure

__all__ = [
    "complain",
    "document",
    "failures",
    "is_terminal",
    "make_output_safe",
    "plural",
    "quoted",
    "say",
    "shown",
    "tell_failures",
]

SCHEMA = 1
"""Version of the JSON documents: raised when a field changes its meaning or goes; new fields may come."""

_SHOWN_FAILURES = 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLAIN = re.compile(r"[\w@%+=:,./~-]+")


def _bytes_or_question_mark(error: UnicodeError) -> tuple[str | bytes, int]:
    """File names that are not Unicode pass as the bytes they are; what the terminal lacks becomes "?"."""
    assert isinstance(error, UnicodeEncodeError)
    raw = b"".join(
        bytes([ord(sign) - 0xDC00]) if "\udc80" <= sign <= "\udcff" else b"?"
        for sign in error.object[error.start : error.end]
    )
    return raw, error.end


def make_output_safe() -> None:
    """Let both streams take any text, whatever their encoding."""
    codecs.register_error("fastcbir", _bytes_or_question_mark)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="fastcbir")


def is_terminal() -> bool:
    """Whether a person watches: both streams go to a terminal that can be drawn on."""
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """A line of the result."""
    print(text)


def complain(text: str) -> None:
    """A line about what went wrong, or what the reader should know besides the result."""
    sys.stdout.flush()
    print(f"fastcbir: {shown(text)}", file=sys.stderr)


def document(command: str, fields: Mapping[str, Any]) -> None:
    """The one JSON document of `--json`. Bytes of names that are not UTF-8 stand as \\udc80..\\udcff, as
    os.fsdecode makes them.
    """
    print(json.dumps({"schema": SCHEMA, "command": command, **fields}, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def shown(text: str | Path) -> str:
    """A text or path that is safe to show: control characters, and on a terminal bytes that are not UTF-8, as
    \\xNN.
    """
    safe = _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", str(text))
    if sys.stdout.isatty():
        return re.sub("[\udc80-\udcff]", lambda sign: f"\\x{ord(sign[0]) - 0xDC00:02x}", safe)
    return safe


def quoted(path: str | Path) -> str:
    """A path as it can be pasted into a shell."""
    text = shown(path)
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "'\\''") + "'"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 -> "1 photo", 1234 -> "1,234 photos"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def failures(failed: Sequence[Failure]) -> list[dict[str, str]]:
    """Files that could not be used, for JSON."""
    return [{"path": str(each.path), "reason": each.reason} for each in failed]


def tell_failures(failed: Sequence[Failure], *, limit: int = _SHOWN_FAILURES) -> None:
    """Files that could not be used, for people."""
    if not failed:
        return
    complain(f"{plural(len(failed), 'file')} could not be used:")
    for each in failed[:limit]:
        print(f"  {shown(each.path)}: {shown(each.reason)}", file=sys.stderr)
    if len(failed) > limit:
        print(f"  ... and {len(failed) - limit:,} more; `fastcbir info` lists them all", file=sys.stderr)
