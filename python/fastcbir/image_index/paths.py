"""How an album names files: one canonical spelling, stored as bytes, and one meaning of a glob.

A file name is bytes on most systems and need not be UTF-8. Inside the album a path is the `str` that
`os.fsdecode` gives (undecodable bytes become lone surrogates); in the catalogue it is the bytes that
`encode_path` gives. Both round-trip, so no name is ever lost or made up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

__all__ = [
    "Excluder",
    "canonical_file",
    "canonical_folder",
    "decode_path",
    "encode_path",
    "glob_pattern",
    "is_under",
]

_WINDOWS = os.name == "nt"


def encode_path(path: str) -> bytes:
    """The bytes the catalogue stores; folders are separated by "/" on every system."""
    return os.fsencode(path.replace("\\", "/") if _WINDOWS else path)


def decode_path(stored: bytes) -> str:
    """The inverse of `encode_path`."""
    return os.fsdecode(stored).replace("/", "\\") if _WINDOWS else os.fsdecode(stored)


def canonical_folder(path: str | os.PathLike[str]) -> str:
    """Absolute, `~` expanded, links resolved: one folder reached by two names is one folder of the album."""
    return os.path.realpath(os.path.expanduser(os.fspath(path)))  # noqa: PTH111  Path loses nothing here but speed


def canonical_file(path: str | os.PathLike[str]) -> str:
    """Like `canonical_folder` for the folder the file lies in; its own name stays, even if it is a link."""
    folder, name = os.path.split(os.path.abspath(os.path.expanduser(os.fspath(path))))  # noqa: PTH100, PTH111
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


def is_under(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it; both canonical."""
    return path == folder or path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def glob_pattern(pattern: str) -> bytes:
    """A user's glob as SQLite's GLOB operator takes it, for stored paths.

    `*` stands for any characters, "/" included; `?` for one; `[abc]`, `[a-z]`, `[!abc]` for one of a set. A
    pattern
    that is not absolute may match at any depth: "cats/*.jpg" finds /home/me/cats/1.jpg. Case counts.

    Raises:
        ValueError: an empty pattern.
    """
    if not pattern:
        raise ValueError(
            'glob is empty; give a pattern such as "*.jpg" or "holiday/*", or None for every photo'
        )
    if pattern.startswith("~"):
        pattern = os.path.expanduser(pattern)  # noqa: PTH111
    if _WINDOWS:
        pattern = pattern.replace("\\", "/")
    absolute = pattern.startswith(("/", "*")) or (_WINDOWS and pattern[1:2] == ":")
    return os.fsencode(("" if absolute else "*/") + pattern.replace("[!", "[^"))


def _regex(glob: str) -> str:
    """The same language as SQLite's GLOB, as a regular expression."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        sign = glob[at]
        at += 1
        if sign == "*":
            parts.append(".*")
        elif sign == "?":
            parts.append(".")
        elif sign == "[":
            signs, at = _set(glob, at)
            parts.append(signs)
        else:
            parts.append(re.escape(sign))
    return "".join(parts)


def _set(glob: str, at: int) -> tuple[str, int]:
    """The set that begins after the "[" before `at`, as a regular expression, and where the glob goes on."""
    inverted = glob.startswith("^", at)
    at += inverted
    members: list[str] = []
    if glob.startswith("]", at):  # first, it is a member and not the end
        members.append(r"\]")
        at += 1
    before = ""  # what a "-" may make a range with
    while at < len(glob) and glob[at] != "]":
        sign = glob[at]
        if sign == "-" and before and glob[at + 1 : at + 2] not in ("", "]"):
            if before <= glob[at + 1]:
                members.append(f"{re.escape(before)}-{re.escape(glob[at + 1])}")
            before = ""
            at += 2
        else:
            members.append(re.escape(sign))
            before = sign
            at += 1
    if at == len(glob):
        return "(?!)", at  # a set that is never closed matches nothing
    return f"[{'^' if inverted else ''}{''.join(members)}]", at + 1


class Excluder:
    """What a walk leaves out: globs with the meaning of `glob_pattern`, tried on folders and on files.

    A pattern that matches a folder keeps the walk out of it ("raw" or "raw/" skips every folder named raw);
    one that matches a file skips the file ("*_thumb.jpg").
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises TypeError for a bare string: its letters would each be taken for a pattern."""
        if isinstance(patterns, str):
            raise TypeError(
                f"exclude must be a list of globs, not the string {patterns!r}; write [{patterns!r}]"
            )
        self.patterns: tuple[str, ...] = tuple(patterns)
        trimmed = [pattern.rstrip("/") or "/" for pattern in self.patterns]
        union = "|".join(_regex(os.fsdecode(glob_pattern(pattern))) for pattern in trimmed)
        self._match = re.compile(union, re.DOTALL).fullmatch if trimmed else None

    def __call__(self, path: str) -> bool:
        """Whether `path` (canonical; file or folder) is left out."""
        if self._match is None:
            return False
        return self._match(path.replace("\\", "/") if _WINDOWS else path) is not None
