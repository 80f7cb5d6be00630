"""Promise: what the documents show works: Python examples run, commands exist, the README's work."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from fastcbir.datasets.package_photos import package_photos

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")})
HARMLESS = {"sudo", "git", "cd", "curl", "export"}


class Block(NamedTuple):
    language: str
    first_line: int
    text: str


def blocks_of(document: Path) -> Iterator[Block]:
    """The fenced code blocks of a document, with the number of each one's first line of code."""
    lines = document.read_text(encoding="utf-8").splitlines()
    opened = None
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("```"):
            continue
        if opened is None:
            opened = (line.strip().removeprefix("```").strip(), number)
        else:
            language, start = opened
            yield Block(language, start + 1, "\n".join(lines[start : number - 1]))
            opened = None
    assert opened is None, f"{document.name}: the code block of line {opened} has no end"


def names(documents: list[Path]) -> list[str]:
    return [document.relative_to(ROOT).as_posix() for document in documents]


def having(language: str) -> list[str]:
    return names([path for path in DOCUMENTS if any(block.language == language for block in blocks_of(path))])


def commands_of(document: Path) -> list[list[str]]:
    """The commands of a document's `sh` blocks, each split into words, without comments."""
    text = "\n".join(block.text for block in blocks_of(document) if block.language == "sh")
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples assume: a home with some photos under Pictures, and a photo query.jpg at hand."""
    folder = tmp_path_factory.mktemp("home")
    pictures = folder / "Pictures"
    pictures.mkdir()
    photos = package_photos()[:6]
    assert photos, 'no package here carries photographs; run: pip install "fastcbir[demo]"'
    for photo in photos:
        shutil.copy(photo.path, pictures / photo.path.name)
    from PIL import Image

    with Image.open(photos[0].path) as image:
        image.convert("RGB").save(folder / "query.jpg")
    return folder


def run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "COLUMNS": "200",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    # Without this, a home of its own would mean a model converted of its own.
    environment.setdefault("FASTCBIR_CACHE", str(ROOT / "build" / "cache"))
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", having("python"))
def test_python_examples_run(name: str, home: Path) -> None:
    """All Python blocks of a document, in order, as one program whose line numbers are the document's."""
    lines: list[str] = []
    for block in blocks_of(ROOT / name):
        if block.language == "python":
            lines += [""] * (block.first_line - 1 - len(lines)) + block.text.splitlines()
    program = home / (name.replace("/", "_") + ".py")
    program.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run([sys.executable, "-W", "error", str(program)], home)
    assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"


def test_the_commands_of_the_readme_do_what_they_say(home: Path) -> None:
    commands = [words for words in commands_of(ROOT / "README.md") if words[0] == "fastcbir"]
    assert commands
    for words in commands:
        expanded = [str(home) + word[1:] if word.startswith("~/") else word for word in words]
        done = run(expanded, home)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"


@cache
def help_of(*command: str) -> str:
    """What `fastcbir COMMAND --help` prints; an empty text where there is no such command."""
    from fastcbir.cli import main

    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        code = main([*command, "--help"])
    return printed.getvalue() if code == 0 else ""


@pytest.mark.parametrize("name", having("sh"))
def test_commands_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    bench_options = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("benchmarks/*.py"))

    for words in commands_of(ROOT / name):
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        line = f"{name}: {shlex.join(words)}"
        program = Path(words[0]).name
        if program in ("make", "pip", "python", "pytest"):
            for word in words[1:]:
                if program == "make" and re.fullmatch("[a-z-]+", word):
                    assert word in targets, f"{line}: the Makefile has no target {word}"
                if program in ("pip", "python") and (listed := re.search(r"^(?:fastcbir|\.)\[(.*)\]$", word)):
                    assert set(listed[1].split(",")) <= extras, f"{line}: pyproject.toml has no such extra"
                if re.match(r"(tests|benchmarks|scripts)/", word):
                    assert (ROOT / word.partition("::")[0]).exists(), f"{line}: there is no {word}"
                if program == "pytest" and "benchmarks/" in words and word.startswith("--"):
                    option = word.partition("=")[0]
                    assert f'"{option}"' in bench_options, f"{line}: the benchmarks have no option {option}"
        elif program == "fastcbir":
            depth = 3 if words[1:2] == ["models"] else 2  # a command with commands of its own
            help_text = help_of(*words[1:depth])
            assert help_text, f"{line}: there is no such command"
            for option in (word.partition("=")[0] for word in words[depth:] if re.match("--?[a-z]", word)):
                assert re.search(rf"{option}\b", help_text), f"{line}: no option {option}"
        else:
            assert program in HARMLESS, f"{line}: a command this test does not know"


@pytest.mark.parametrize("name", names(DOCUMENTS))
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            path = document.parent / target.partition("#")[0]
            assert path.exists(), f"{name} links to {target}, which does not exist"


def test_the_index_of_documents_is_complete() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    documents = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert [name for name in sorted(documents - {"README.md"}) if f"({name})" not in index] == []
