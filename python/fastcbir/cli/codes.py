"""The exit codes, and which error ends in which. Standard library only."""

from __future__ import annotations

from fastcbir.errors import AlbumLockedError, FormatError, MissingExtraError, ModelError

__all__ = ["ALBUM", "FAILED", "HELP", "INTERRUPTED", "OK", "SETUP", "USAGE", "CommandError", "code_of"]

OK = 0
FAILED = 1
USAGE = 2
ALBUM = 3
SETUP = 4
INTERRUPTED = 130

HELP = (
    "Exit codes: 0 done (single unreadable photos are only reported), 1 failed, 2 wrong usage, 3 the album "
    "is missing, locked or damaged, 4 an extra or a model is missing or does not fit the album, 130 "
    "interrupted."
)


class CommandError(Exception):
    """The command ends here: with this message on standard error, and this exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: Exception) -> tuple[int, str]:
    """(exit code, one-line message) for an error that ended a command."""
    if isinstance(error, CommandError):
        return error.code, str(error)
    told = getattr(error, "format_message", None)
    if told is not None:  # Typer's own, whose module differs between its versions
        context = getattr(error, "ctx", None)
        message = str(told()).rstrip(".")
        if message and context is not None:
            message += f" (try: {context.command_path} --help)"
        return int(getattr(error, "exit_code", USAGE)), message
    if isinstance(error, MissingExtraError | ModelError):
        return SETUP, str(error)
    if isinstance(error, FormatError | AlbumLockedError):
        return ALBUM, str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename is not None else ""
        return FAILED, f"{place}{error.strerror or error}"
    if isinstance(error, ValueError):
        return FAILED, str(error)
    return FAILED, (
        f"unexpected {type(error).__name__}: {error}; this is a mistake in fastcbir: please report it with "
        "what FASTCBIR_DEBUG=1 prints"
    )
