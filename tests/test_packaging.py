"""Promise: the wheel works on a machine without a compiler, is small, and holds the library and nothing else.

The wheel is built from this source in the build tree that `make` uses, so that little is compiled again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

pytest.importorskip("scikit_build_core", reason='building needs the tools of pip install "fastcbir[dev]"')

ROOT = Path(__file__).resolve().parent.parent
MEBIBYTE = 1 << 20
WHEEL_LIMIT = 40 * MEBIBYTE


def environment() -> dict[str, str]:
    """That of the test, with the tools beside this Python found first, as `make` has it."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def build(what: str, folder: Path) -> Path:
    """Calls the build backend as pip does, without a network: `what` is "wheel" or "sdist"."""
    program = f"import sys; from scikit_build_core.build import build_{what} as build; build(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        # Early releases of 3.11 lack the filter, and those of 3.12 and 3.13 warn when none is chosen.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    (top,) = folder.iterdir()
    return top


def test_the_wheel_works_in_a_clean_environment_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "clean"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    # NumPy, the one requirement, comes from here rather than from a network.
    where = "import sysconfig; print(sysconfig.get_path('platlib'))"
    platlib = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout
    site_packages = Path(platlib.strip())
    installed = Path(numpy.__file__).parent
    for folder in (installed, installed.with_name("numpy.libs")):
        if folder.exists():
            (site_packages / folder.name).symlink_to(folder, target_is_directory=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    command = [
        *pip,
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--disable-pip-version-check",
        str(wheel),
    ]
    subprocess.run(command, check=True)

    program = """
import shutil
assert not any(shutil.which(tool) for tool in ("g++", "gcc", "c++", "cc", "clang", "cmake", "ninja", "make"))
import numpy as np
import fastcbir as fc
vectors = np.random.default_rng(0).standard_normal((300, 24), dtype=np.float32)
for method in (fc.Flat(), fc.Hnsw(m=8)):
    index = fc.Index(dim=24, method=method, metric="l2")
    index.add(vectors)
    hits = index.search(vectors[:20], k=3)
    assert hits.ids[:, 0].tolist() == list(range(20)), hits.ids
print(fc.__file__)
"""
    nowhere = {"PATH": str(scripts), "HOME": str(tmp_path), "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
    done = subprocess.run(
        [python, "-I", "-c", program], cwd=tmp_path, env=nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(site_packages)


def test_the_wheel_is_small(wheel: Path) -> None:
    size = wheel.stat().st_size
    assert size < WHEEL_LIMIT, f"{size / MEBIBYTE:.1f} MiB"


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fastcbir"}
    wrong_suffixes = {".cpp", ".hpp", ".inc", ".h", ".a", ".o", ".lib", ".cmake", ".pyc", ".txt.in"}
    assert [name for name in names if Path(name).suffix in wrong_suffixes] == []
    assert [name for name in names if "tests" in Path(name).parts] == []
    assert (
        len([name for name in names if name.startswith("fastcbir/_core") and not name.endswith(".pyi")]) == 1
    )
    assert {"fastcbir/py.typed", "fastcbir/_core.pyi", "fastcbir/__init__.py"} <= set(names)


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Templates, style sheets and the like too, not only Python."""
    package = ROOT / "python" / "fastcbir"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    expected = {f"fastcbir/{path.relative_to(package).as_posix()}" for path in files if path.suffix != ".so"}
    assert expected - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_wheel_carries_licences_and_metadata(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    # pybind11 is compiled in, and its licence asks to go along.
    assert any(name.endswith("licenses/NOTICE") for name in names)
    (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    metadata = archive.read(metadata_name).decode()
    assert f"Version: {project['version']}\n" in metadata
    without_extra = [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert len(without_extra) == 1 and "numpy" in without_extra[0], "the base install needs NumPy alone"
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "fastcbir = fastcbir.cli:main" in archive.read(entry_points).decode().replace(
        "fastcbir=", "fastcbir = "
    )


def test_the_source_distribution_is_complete(unpacked: Path) -> None:
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    folders = [ROOT / "cpp", ROOT / "python", ROOT / "tests"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts and path.suffix not in {".pyc", ".so"}]
    wanted = {path.relative_to(ROOT).as_posix() for path in files}
    wanted |= {"pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", "NOTICE", "Makefile"}
    assert wanted - held == set()
    assert not [name for name in held if name.startswith((".venv", "build/", ".git/"))]


def test_the_source_distribution_configures(unpacked: Path, tmp_path: Path) -> None:
    """CMake finds every source that it names, the module's and the tests'."""
    pybind11 = pytest.importorskip("pybind11")
    command = ["cmake", "-S", str(unpacked), "-B", str(tmp_path), "-G", "Ninja", "-DFASTCBIR_PYTHON=ON"]
    command += ["-DFASTCBIR_TESTS=ON", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
