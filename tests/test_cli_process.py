"""Promise: the command behaves among processes: terminals, pipes, signals, odd names, missing extras."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from cli_helpers import FAST, command, environment, make_photos, make_picture, run, run_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals and signals as POSIX has them")

WITHOUT = "import sys; sys.modules[{0!r}] = None; from fastcbir.cli import main; sys.exit(main({1!r}))"


def test_without_the_extra_it_says_which_one_to_install(tmp_path: Path) -> None:
    for missing, arguments in (("typer", ["info"]), ("rich", ["info"])):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT.format(missing, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 4
        assert 'pip install "fastcbir[photos]"' in done.stderr
        assert "Traceback" not in done.stderr


def test_the_version_needs_no_extra() -> None:
    program = WITHOUT.format("typer", ["--version"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fastcbir ")


def test_help_loads_nothing_that_works_on_photos() -> None:
    program = (
        "import sys; from fastcbir.cli import main; main(['search', '--help']); "
        "heavy = {'PIL', 'onnxruntime', 'onnx', 'sqlite3'}; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == ""


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    odd = os.fsdecode(b"caf\xe9.jpg")
    try:
        make_picture(folder / odd, 1)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    make_picture(folder / "two\nlines.jpg", 2)
    (folder / os.fsdecode(b"bad\xff.jpg")).write_text("no picture")
    done, found, document, paged, removed = run_all(
        tmp_path,
        ("index", folder, "--extractor", FAST),
        ("search", folder / odd),
        ("search", folder / odd, "--json"),
        ("search", folder / odd, "--html", tmp_path / "page.html"),
        ("remove", folder / odd),
    )
    assert done.returncode == 0, done.stderr
    assert b"bad\xff.jpg" in done.stderr
    assert found.returncode == 0, found.stderr
    first, second = found.stdout.splitlines()
    assert first.split(b"\t")[2] == os.fsencode(folder / odd)
    assert second.endswith(b"two\\x0alines.jpg")
    hits = json.loads(document.stdout)["hits"]
    assert [hit["path"] for hit in hits] == [str(folder / odd), str(folder / "two\nlines.jpg")]
    assert paged.returncode == 0, paged.stderr
    assert "caf%E9.jpg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert removed.returncode == 0


def test_an_output_that_lacks_letters(tmp_path: Path) -> None:
    make_picture(tmp_path / "photos" / "снег.jpg", 1)
    done = run(tmp_path, "index", "photos", "--extractor", FAST, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "search", "photos/снег.jpg", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"????.jpg\n")


def test_no_bar_and_no_colours_without_a_terminal(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 3)
    done = run(tmp_path, "index", "photos", "--extractor", FAST, FORCE_COLOR="1")
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


def _in_terminal(home: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """Run the command in a terminal of 60 columns: (exit code, everything it wrote)."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    kept = {key: value for key, value in environment(home, **more).items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command(*arguments),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=home,
        env={"TERM": "xterm-256color", **kept},
    )
    os.close(follower)
    written = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:  # Linux: nobody holds the other end any more
            break
        if not block:
            break
        written += block
    os.close(leader)
    return process.wait(timeout=60), written.decode("utf-8", "replace")


def test_in_a_narrow_terminal(tmp_path: Path) -> None:
    make_photos(tmp_path / "a folder with a rather long name, longer than the terminal", 6)
    folder = str(next(tmp_path.glob("a folder*")))
    code, written = _in_terminal(tmp_path, "index", folder, "--extractor", FAST, TERM="xterm-256color")
    assert code == 0
    assert "Reading photos" in written
    assert "\x1b[?25h" in written  # the cursor is back
    code, written = _in_terminal(tmp_path, "search", f"{folder}/3.jpg", TERM="xterm-256color", NO_COLOR="1")
    assert code == 0
    assert "1.000" in written
    assert "3.jpg" in written
    assert "\x1b[3" not in written  # NO_COLOR: no foreground colour is set


def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 3)
    run(tmp_path, "index", "photos", "--extractor", FAST)
    process = subprocess.Popen(
        command("search", "photos/1.jpg"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert told == b""


def test_ctrl_c_keeps_what_was_finished(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 300)
    process = subprocess.Popen(
        command("index", "photos", "--extractor", FAST),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(tmp_path),
        text=True,
    )
    # Its catalogue shows that it has begun; a little later it is in the middle of the photos.
    catalogue = tmp_path / "fastcbir" / "album.fcbir" / "catalog.db"
    deadline = time.monotonic() + 60
    while not catalogue.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("fastcbir: interrupted")
    assert len(err.splitlines()) == 1
    done = run(tmp_path, "index", "photos", "--json")
    told = json.loads(done.stdout)
    assert told["photos"] == 300
    assert told["added"] + told["unchanged"] == 300
