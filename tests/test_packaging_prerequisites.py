"""Promise: a missing prerequisite is named first, in one line, with the package that brings it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_prerequisites.sh"
SHELL_TOOLS = ("sh", "cat", "uname", "sed")

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="the build scripts need a POSIX shell")


def write_program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that is the whole PATH and holds all that a build needs; tests take things away from it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL_TOOLS:
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is not on the PATH"))
    write_program(folder / "python3", f'exec "{sys.executable}" "$@"')
    write_program(folder / "g++", "cat >/dev/null")
    return folder


def check(machine: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "sh"), str(SCRIPT), *arguments],
        env={"PATH": str(machine), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(machine: Path, *arguments: str, **environment: str) -> str:
    done = check(machine, *arguments, **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("fastcbir: ")
    assert "apt-get install" in lines[0]
    return lines[0]


def python_without(module_or_file: str) -> str:
    """The body of a Python that lacks a module, or the header Python.h."""
    if module_or_file == "Python.h":
        prelude = "import os.path; os.path.exists = lambda path: False"
    else:
        prelude = f"import sys; sys.modules[{module_or_file!r}] = None"
    return f"""shift; code=$1; exec "{sys.executable}" -c "{prelude}
$code" """


def test_a_complete_machine_passes_in_silence(machine: Path) -> None:
    done = check(machine)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_python(machine: Path) -> None:
    (machine / "python3").unlink()
    assert "python3 is not on the PATH" in complaint(machine)


def test_another_python_is_named_as_asked_for(machine: Path) -> None:
    assert complaint(machine, "python3.99").startswith("fastcbir: python3.99 is not on the PATH")


def test_too_old_a_python(machine: Path) -> None:
    old = "import sys; sys.version_info = (3, 9, 18)"
    write_program(machine / "python3", f'shift; exec "{sys.executable}" -c "{old}\n$1"')
    line = complaint(machine)
    assert "Python 3.9" in line
    assert "3.10 or later" in line


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_no_venv_module(machine: Path, module: str) -> None:
    write_program(machine / "python3", python_without(module))
    line = complaint(machine)
    assert "no venv module" in line
    assert "-venv" in line.partition("apt-get install")[2]


def test_no_python_headers(machine: Path) -> None:
    write_program(machine / "python3", python_without("Python.h"))
    line = complaint(machine)
    assert "Python.h" in line
    assert "-dev" in line.partition("apt-get install")[2]


def test_no_compiler(machine: Path) -> None:
    (machine / "g++").unlink()
    line = complaint(machine)
    assert "no C++ compiler" in line
    assert line.endswith("apt-get install g++")


def test_a_compiler_too_old_for_the_language(machine: Path) -> None:
    write_program(machine / "g++", "cat >/dev/null; exit 1")
    assert "can't compile C++20" in complaint(machine)


def test_the_compiler_named_by_the_environment_is_the_one_checked(machine: Path) -> None:
    write_program(machine / "launcher", 'shift; exec "$@"')
    write_program(machine / "other", "cat >/dev/null; exit 1")
    assert check(machine, CXX="launcher --quiet g++").returncode == 0
    assert "(other)" in complaint(machine, CXX="other")


def test_make_stops_there(machine: Path, tmp_path: Path) -> None:
    """`make demo` and `make test` start with this check, and make no environment when it fails."""
    make = shutil.which("make") or pytest.skip("make is not installed")
    (machine / "make").symlink_to(make)
    (machine / "dirname").symlink_to(shutil.which("dirname") or "")
    (machine / "g++").unlink()
    for target in ("demo", "lint", "test-cpp"):
        done = subprocess.run(
            [str(machine / "make"), "-C", str(ROOT), target, f"VENV={tmp_path / 'venv'}"],
            env={"PATH": str(machine)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.splitlines()[0].endswith("apt-get install g++")
        assert not (tmp_path / "venv").exists()
