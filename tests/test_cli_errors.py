"""Promise: what goes wrong is a line on standard error, without a traceback, and a documented exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from cli_helpers import FAST, make_photos

from fastcbir import cli as package
from fastcbir.cli import main
from fastcbir.image_index.lock import WriterLock

FAILED, USAGE, ALBUM, SETUP, INTERRUPTED = 1, 2, 3, 4, 130


def make_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a test: photos/, empty/, broken/, an album a.fcbir, and what is none."""
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(folder / "data"))
    monkeypatch.delenv("FASTCBIR_ALBUM", raising=False)
    monkeypatch.delenv("FASTCBIR_DEBUG", raising=False)
    monkeypatch.chdir(folder)
    make_photos(folder / "photos", 2)
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "text.jpg").write_text("no picture")
    (folder / "broken" / "nothing.png").touch()
    assert main(["index", "photos", "--extractor", FAST, "--album", "a.fcbir"]) == 0
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_home(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One such folder for all that goes wrong; afterwards its album is as it was."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = make_home(tmp_path_factory.mktemp("home"), monkeypatch)
        before = sorted(path.name for path in folder.iterdir())
        yield
        assert sorted(path.name for path in folder.iterdir()) == before
        assert main(["verify", *IN_A]) == 0
        assert main(["search", "photos/1.jpg", *IN_A]) == 0


IN_A = ("--album", "a.fcbir")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "nowhere"], USAGE, "'nowhere' does not exist (try: fastcbir index --help)"),
        (["index", "empty", *IN_A], FAILED, "there are no photos in empty"),
        (["index", "broken", *IN_A], FAILED, "nothing in broken could be read"),
        (["index", "photos", "--album", "photos/1.jpg"], ALBUM, "is a file; an album is a folder"),
        (["index", "photos", "--album", "photos"], ALBUM, "other things in it"),
        (["index", "photos", *IN_A, "--extractor", "efficientnet-lite0"], SETUP, "made with the model color"),
        (["index", "photos", "--album", "b.fcbir", "--extractor", "x"], SETUP, "no model is named 'x'"),
        (["index", "photos", *IN_A, "--exclude", ""], USAGE, "--exclude is empty"),
        (["search", "photos/1.jpg"], ALBUM, "there is no album yet"),
        (["search", "photos/1.jpg", "--album", "no.fcbir"], ALBUM, "make it with: fastcbir index"),
        (["search", "photos/1.jpg", "--album", "empty"], ALBUM, "is a folder, but no album"),
        (["search", "nowhere.jpg", *IN_A], USAGE, "'nowhere.jpg' does not exist"),
        (["search", "photos", *IN_A], USAGE, "is a directory"),
        (["search", "broken/text.jpg", *IN_A], FAILED, "can't search with broken/text.jpg: not an image"),
        (["search", "broken/nothing.png", *IN_A], FAILED, "the file is empty"),
        (["search", "photos/1.jpg", *IN_A, "-k", "0"], USAGE, "'-k'"),
        (["search", "photos/1.jpg", *IN_A, "-k", "10001"], USAGE, "'-k'"),
        (["search", "photos/1.jpg", *IN_A, "-k", "many"], USAGE, "'-k'"),
        (["search", "photos/1.jpg", *IN_A, "--after", "soon"], USAGE, "'soon' is no date"),
        (["search", "photos/1.jpg", *IN_A, "--glob", ""], USAGE, "'--glob'"),
        (["search", "photos/1.jpg", *IN_A, "--json", "--open"], USAGE, "--json prints no page"),
        (["search", "photos/1.jpg", *IN_A, "--html", "nowhere/x.html"], USAGE, "its folder does not exist"),
        (["search", "photos/1.jpg", *IN_A, "--html", "photos/2.jpg"], USAGE, "ending in .html or .htm"),
        (["search"], USAGE, "IMAGE"),
        (["info"], ALBUM, "there is no album yet"),
        (["remove", "*.png", *IN_A], FAILED, "no photo of the album matches *.png"),
        (["remove", "photos/1.jpg"], ALBUM, "there is no album yet"),
        (["sync"], ALBUM, "there is no album yet"),
        (["verify"], ALBUM, "there is no album yet"),
        (["demo", "--photos", "nowhere"], USAGE, "'nowhere' does not exist"),
        (["demo", "--out", "photos"], FAILED, "has other things in it"),
        (["nonsense"], USAGE, "nonsense"),
        (["info", "--nonsense"], USAGE, "--nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors(
    unharmed: None, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    capsys.readouterr()
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("fastcbir: ")
    assert message in last
    assert "Traceback" not in captured.err


def test_no_photo_is_lost_to_a_wrong_album(home: Path) -> None:
    main(["index", "photos", "--album", "photos"])
    assert sorted(path.name for path in (home / "photos").iterdir()) == ["0.jpg", "1.jpg"]


def test_a_locked_album(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with WriterLock(home / "a.fcbir" / "writer.lock"):
        assert main(["index", "photos", *IN_A]) == ALBUM
        assert main(["search", "photos/1.jpg", *IN_A]) == 0
    assert "fastcbir: " in capsys.readouterr().err


def test_a_damaged_album(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "a.fcbir" / "catalog.db").write_bytes(b"no database" * 1000)
    assert main(["search", "photos/1.jpg", *IN_A]) == ALBUM
    assert "damaged" in capsys.readouterr().err


def test_searching_an_album_without_photos_finds_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["index", "empty", "--extractor", FAST])
    capsys.readouterr()
    assert main(["search", "photos/1.jpg"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "has no photos yet" in captured.err


def test_an_error_of_ours_asks_for_a_report(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> int:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(package, "_run", fail)
    assert main(["info"]) == FAILED
    told = capsys.readouterr().err
    assert "RuntimeError: out of cheese" in told
    assert "FASTCBIR_DEBUG=1" in told
    monkeypatch.setenv("FASTCBIR_DEBUG", "1")
    with pytest.raises(RuntimeError, match="out of cheese"):
        main(["info"])


def test_ctrl_c_before_anything_runs(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(package, "_run", interrupt)
    assert main(["info"]) == INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
