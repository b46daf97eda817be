"""Making an artefact's folder: what of other people's is never touched, and what is found damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts import making as made
from pegbox_runs.artefacts.artefact import Artefact, MadeFile, write_artefact
from pegbox_runs.artefacts.making import DONE, LOCK, Made, Making, aside_of, is_unharmed, is_whole, making
from pegbox_runs.artefacts.place import named_place


def finished(place: Path) -> Path:
    with making(place, "order") as begun:
        assert isinstance(begun, Making)
        begun.add("weights", lambda path: path.write_bytes(b"right") and None)
        artefact = Artefact(
            target="merged", order="order", run="r", method="lora", base="b", base_sha256=None, adapter_sha256="a",
            number_format=None, files=begun.files, libraries={}, seconds=0,
        )  # fmt: skip
        write_artefact(artefact, begun.folder)
        return begun.finish()


def begin(place: Path, order: str = "order") -> None:
    with making(place, order):
        raise AssertionError("it was begun")


def test_a_folder_of_somebody_elses_under_the_name_that_is_worked_in_is_refused_untouched(tmp_path: Path) -> None:
    diary = tmp_path / ".out.part" / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("x")
    with pytest.raises(Refusal, match="holds files that Pegbox didn't put there"):
        begin(tmp_path / "out")
    assert [path.name for path in diary.parent.iterdir()] == ["diary.txt"]


def test_a_link_under_the_name_that_is_worked_in_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / LOCK).write_text("")
    (target / "diary.txt").write_text("x")
    aside_of(tmp_path / "out").symlink_to(target)
    with pytest.raises(Refusal, match="link"):
        begin(tmp_path / "out")
    assert (target / "diary.txt").read_text() == "x"


def broken_off(place: Path, work: Callable[[Making], object]) -> None:
    with pytest.raises(KeyboardInterrupt), making(place, "order") as begun:
        work(cast(Making, begun))


def put(begun: Making, name: str) -> None:
    begun.add(name, lambda path: path.write_text(name) and None)


def test_what_was_broken_off_is_taken_up_and_an_empty_folder_is_used(tmp_path: Path) -> None:
    place = tmp_path / "out"
    aside_of(place).mkdir()

    def one(begun: Making) -> None:
        put(begun, "one")
        raise KeyboardInterrupt

    broken_off(place, one)
    with making(place, "order") as begun:
        assert isinstance(begun, Making)
        assert begun.files.keys() == {"one"}


def test_damage_that_keeps_the_size_is_found(tmp_path: Path) -> None:
    place = finished(tmp_path / "out")
    with making(place, "order") as found:
        assert isinstance(found, Made)
    (place / "weights").write_bytes(b"wrong")
    assert is_whole(place)
    assert not is_unharmed(place)
    with pytest.raises(Refusal, match="what lies there is this very export, but files of it are damaged or gone; noth"):
        begin(place)
    with pytest.raises(Refusal, match="another export lies there, of the run r; nothing is overwritten"):
        begin(place, "another")


def test_files_that_are_adopted_are_noted_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, hashed = tmp_path / "out", made.made_file

    def breaks(path: Path) -> MadeFile:
        if path.name == "2":
            raise KeyboardInterrupt
        return hashed(path)

    def several(begun: Making) -> None:
        put(begun, "small")
        for name in ("1", "2", "3"):
            (begun.folder / name).write_text(name)
        monkeypatch.setattr(made, "made_file", breaks)
        begun.adopt()

    broken_off(place, several)
    monkeypatch.setattr(made, "made_file", hashed)
    with making(place, "order") as begun:
        assert isinstance(begun, Making)
        assert begun.files.keys() == {"small"}


@pytest.mark.parametrize("when", ["the folder is made", "the lock is opened"])
def test_a_folder_that_another_process_takes_away_meanwhile_is_a_sentence(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, look, lock = tmp_path / "out", made._refuse_strange, made.fcntl.flock

    def taken(folder: Path) -> None:
        look(folder)
        folder.rename(place)

    def renamed(handle: object, how: int) -> None:
        (aside_of(place) / LOCK).unlink()
        aside_of(place).rename(place)
        lock(handle, how)  # type: ignore[arg-type]

    if when == "the folder is made":
        monkeypatch.setattr(made, "_refuse_strange", taken)
    else:
        monkeypatch.setattr(made.fcntl, "flock", renamed)
    with pytest.raises(Refusal, match="another process has just been at it"):
        begin(place)
    assert not (place / DONE).exists()


def test_a_named_place_is_whole_and_without_characters_that_cannot_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_place("out/../out") == tmp_path / "out"
    assert named_place("out") == tmp_path / "out"
    for text in ("o\nut", "o\x1b[2Jut", "o\u202eut", "o\tut"):
        with pytest.raises(Refusal, match=r"'o.+ut': has characters in it that can't be seen") as refused:
            named_place(text)
        assert str(refused.value).isprintable()
