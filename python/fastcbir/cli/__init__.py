"""The command `fastcbir`: the door from the terminal. Needs the extra "photos", and says so where it is
missing.

Every way to end is decided here: an exit code (codes.py) and, where something went wrong, one line on
standard error. Set FASTCBIR_DEBUG=1 for the traceback behind that line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fastcbir.cli.codes import FAILED, INTERRUPTED, OK, code_of
from fastcbir.cli.output import complain, make_output_safe

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: those after the program's name; None for the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    make_output_safe()
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _interrupted(given)
    except BrokenPipeError:
        # Whoever read the output has enough, as in `fastcbir search ... | head`. What is still buffered goes
        # nowhere, so that the interpreter's last flush does not fail in turn.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("FASTCBIR_DEBUG", "0") not in ("", "0"):
            raise
        code, message = code_of(error)
        if message:  # `fastcbir` alone has printed its help already
            complain(message)
        return code


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:  # also where the extra is missing
        import fastcbir

        print(f"fastcbir {fastcbir.__version__}")
        return OK
    from fastcbir.errors import require

    require("typer", "photos", "the fastcbir command")
    require("rich", "photos", "the fastcbir command")
    from fastcbir.cli.app import app

    # Not standalone: the code comes back, and errors come here instead of being printed and exited on.
    try:
        result = app(arguments, prog_name="fastcbir", standalone_mode=False)
    except Exception as error:
        if type(error).__name__ == "Abort":  # how some versions of Typer pass on Ctrl-C
            raise KeyboardInterrupt from error
        raise
    if result == INTERRUPTED:  # and how the others do
        raise KeyboardInterrupt
    return result if isinstance(result, int) else OK


def _interrupted(arguments: list[str]) -> int:
    resumes = bool({"index", "sync"} & set(arguments[:1]))
    kept = "; what was finished is kept, and the same command goes on from there" if resumes else ""
    complain(f"interrupted{kept}")
    return INTERRUPTED
