"""What the tests of the command share: small pictures that differ, and running it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

FAST = "color-layout"  # a real extractor without weights


def make_picture(path: Path, seed: int) -> Path:
    """A picture of coloured blobs, different for each seed."""
    chance = Random(seed)
    image = Image.new("RGB", (160, 120), tuple(chance.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, radius = chance.randrange(160), chance.randrange(120), chance.randrange(10, 50)
        colour = tuple(chance.randrange(256) for _ in range(3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95) if path.suffix == ".jpg" else image.save(path)
    return path


def make_photos(folder: Path, count: int) -> Path:
    """A folder of so many different pictures, 0.jpg and so on."""
    for number in range(count):
        make_picture(folder / f"{number}.jpg", number)
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """The process's environment with the user's own album under `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FASTCBIR_ALBUM")}
    return {**kept, "XDG_DATA_HOME": str(home), "LOCALAPPDATA": str(home), "HOME": str(home), **more}


def command(*arguments: str | bytes | Path) -> list[str]:
    """The command line that runs the command in another process."""
    return [sys.executable, "-m", "fastcbir.cli", *(os.fsdecode(each) for each in arguments)]


def run(home: Path, *arguments: str | bytes | Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, without a terminal."""
    return subprocess.run(
        command(*arguments), capture_output=True, env=environment(home, **more), timeout=120, cwd=home
    )


_ONE_AFTER_THE_OTHER = """
import sys
from fastcbir.cli import main
for line in sys.argv[1:]:
    code = main(line.split("\\x1f"))
    for stream in (sys.stdout, sys.stderr):
        print(end=f"\\x1e{code}\\x1e", file=stream, flush=True)
"""


def run_all(home: Path, *lines: Sequence[str | bytes | Path]) -> list[subprocess.CompletedProcess[bytes]]:
    """Run commands one after the other in one process of their own, which starts but once."""
    joined = ["\x1f".join(os.fsdecode(each) for each in line) for line in lines]
    program = [sys.executable, "-c", _ONE_AFTER_THE_OTHER, *joined]
    done = subprocess.run(program, capture_output=True, env=environment(home), timeout=120, cwd=home)
    out, err = done.stdout.split(b"\x1e"), done.stderr.split(b"\x1e")
    assert (done.returncode, len(out), len(err)) == (0, 2 * len(lines) + 1, 2 * len(lines) + 1), done.stderr
    return [
        subprocess.CompletedProcess(list(line), int(out[2 * i + 1]), out[2 * i], err[2 * i])
        for i, line in enumerate(lines)
    ]
