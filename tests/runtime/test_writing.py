"""Files whole or not at all, folders in one step, one process at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from segsolve_runtime.contract import writing
from segsolve_runtime.contract.changes import WORK, changing, settle
from segsolve_runtime.contract.writing import InUseError, check_replaceable, locked, replace_file, replacing, sweep


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends_and_not_if_it_raises(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")
    path.chmod(0o640)
    with pytest.raises(RuntimeError), replacing(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]
    replace_file(path, b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["file"]


def test_a_link_goes_on_pointing_and_a_fifo_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    replace_file(tmp_path / "fifo", b"through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    replace_file(Path(os.devnull), b"gone")
    assert not Path(os.devnull).is_file()


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    (tmp_path / f".dead{writing.PARTIAL}").write_bytes(b"half")
    with replacing(tmp_path / "alive") as stream:
        stream.write(b"whole")
        sweep(tmp_path)
        assert names(tmp_path) == [f".alive{writing.PARTIAL}"]
    check_replaceable(tmp_path / "other")
    assert names(tmp_path) == ["alive"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InUseError, match="another command is writing there"), locked(tmp_path, 0):
        pass
    with locked(tmp_path, 0):
        pass


def test_a_change_that_was_decided_is_finished_by_whoever_comes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "old").write_bytes(b"old")
    work = tmp_path / WORK
    (work / "files" / "sub").mkdir(parents=True)
    (work / "files" / "sub" / "new").write_bytes(b"new")
    (work / "decision.json").write_text(json.dumps({"put": ["gone before", "sub/new"], "remove": ["sub/old"]}))
    settle(tmp_path)
    assert names(tmp_path) == ["sub"] and names(tmp_path / "sub") == ["new"]
    with changing(tmp_path / "a" / "b") as change:
        change.put("one", b"1")
    assert names(tmp_path / "a" / "b") == ["one"]
    with pytest.raises(RuntimeError), changing(tmp_path / "c" / "d") as change:
        change.put("one", b"1")
        raise RuntimeError
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "link/mine", ".segsolve/x", "a/b/c", 7, None])
def test_a_decision_reaches_nothing_outside_of_its_folder(name: object, tmp_path: Path) -> None:
    """A plan's folder may come from anywhere."""
    others = tmp_path / "others"
    others.mkdir()
    for path in (others / "mine", tmp_path / "outside"):
        path.write_bytes(b"mine")
    folder = tmp_path / "plan"
    (folder / WORK / "files" / "link").mkdir(parents=True)
    (folder / WORK / "files" / "link" / "mine").write_bytes(b"theirs")
    (folder / "link").symlink_to(others)
    (folder / WORK / "decision.json").write_text(json.dumps({"put": [name], "remove": [name]}))
    settle(folder)
    assert (others / "mine").read_bytes() == (tmp_path / "outside").read_bytes() == b"mine"


def test_a_linked_work_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "mine").write_bytes(b"mine")
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / WORK).symlink_to(tmp_path / "others")
    settle(tmp_path / "plan")
    assert (tmp_path / "others" / "mine").exists()


def test_a_change_may_go_deep_and_takes_emptied_folders_away(tmp_path: Path) -> None:
    with changing(tmp_path) as change:
        for name in ("models/0-a/plan.json", "models/0-a/segments/s.tflite", "models/1-b/plan.json"):
            change.below("models").put(name.removeprefix("models/"), b"old")
    (tmp_path / "models" / "1-b" / "mine.txt").write_text("kept")
    with changing(tmp_path) as change:
        change.put("models/0-c/plan.json", b"new")
        for path in (tmp_path / "models").rglob("*.*"):
            if path.name != "mine.txt":
                change.remove(path.relative_to(tmp_path).as_posix())
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["models/0-c/plan.json", "models/1-b/mine.txt"]
    assert not (tmp_path / "models" / "0-a").exists()


def test_a_change_follows_no_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "models").symlink_to(tmp_path / "outside")
    with changing(tmp_path / "in") as change:
        change.put("models/0-a/plan.json", b"new")
    assert not list((tmp_path / "outside").iterdir())
