"""Whatever a kill leaves of the log, it is either whole again or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsolve.batch.log import RESULTS, SUPERSEDED, TIMINGS, RecordLog, locked, read_records, read_timings
from segsolve.batch.record import Record, from_line, to_line
from segsolve.errors import OutputError
from tests.batch.runs import record

RECORDS = [record(model, "dp", 10 + k, cuts=(k,), gap=0.25) for k, model in enumerate("cab")]


def written(folder: Path, records: list[Record] = RECORDS) -> bytes:
    with RecordLog(folder) as log:
        for item in records:
            log.append(item, {"wall_s": 0.5})
    return (folder / RESULTS).read_bytes()


def ends(content: bytes) -> list[int]:
    return [at for at, byte in enumerate(content[:-1]) if byte == ord("\n")]


def test_a_record_survives_its_line() -> None:
    assert [from_line(to_line(r).encode()) for r in RECORDS] == RECORDS


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "strange"},
        {"constraints": {"strange": 1}},
        {"constraints": {"max_latency_ns": "x"}},
        {"period_ns": None, "objective_ns": None},
        {"latency_ns": None},
        {"one_tpu_ns": None},
        {"tpus_used": None},
        {"period_ns": 10**30},
        {"stage_ns": [-1]},
        {"throughput_fps": 0.0},
        {"memory_bytes": 10**400},
    ],
)
def test_a_line_that_no_release_writes_is_no_record(change: dict[str, Any]) -> None:
    line = json.loads(to_line(RECORDS[0])) | change
    with pytest.raises(ValueError):
        from_line(json.dumps(line).encode())


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    written(tmp_path)
    with RecordLog(tmp_path) as log:
        assert list(log.records.values()) == RECORDS
    assert read_timings(tmp_path)[RECORDS[0].key]["wall_s"] == 0.5


def test_a_kill_in_the_middle_of_a_line_costs_that_line_only(tmp_path: Path) -> None:
    whole = written(tmp_path)
    for length in (*range(0, len(whole), 37), *(at + k for at in ends(whole) for k in (-1, 0, 1)), len(whole)):
        (tmp_path / RESULTS).write_bytes(whole[:length])
        with RecordLog(tmp_path) as log:
            assert list(log.records.values()) == RECORDS[: whole[:length].count(b"\n")]
            assert (tmp_path / RESULTS).read_bytes() == whole[: whole.rfind(b"\n", 0, length) + 1]


def test_what_follows_a_torn_line_begins_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_bytes(written(tmp_path)[:-20])
    (tmp_path / TIMINGS).write_bytes((tmp_path / TIMINGS).read_bytes()[:-5])
    assert written(tmp_path, RECORDS[2:]) == "".join(map(to_line, RECORDS)).encode()
    assert len(read_timings(tmp_path)) == 3


def test_zeros_that_a_power_cut_left_are_a_torn_line(tmp_path: Path) -> None:
    whole = written(tmp_path)
    (tmp_path / RESULTS).write_bytes(whole + b"\0" * 100)
    with RecordLog(tmp_path) as log:
        assert len(log.records) == 3
    assert (tmp_path / RESULTS).read_bytes() == whole


@pytest.mark.parametrize("content", ['{"a": 1}\n', '{"a": 1}', "precious notes", "\n", "[]\n", '{"key": "1"}\n'])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / RESULTS).write_text(content)
    with pytest.raises(OutputError, match="is not a record of a batch"):
        RecordLog(tmp_path)
    assert (tmp_path / RESULTS).read_text() == content


def test_finishing_sorts_and_keeps_the_last_of_each_key(tmp_path: Path) -> None:
    written(tmp_path)
    newer = record("a", "dp", 99)
    with RecordLog(tmp_path) as log:
        log.append(newer, {})
        log.finish([])
    assert [(r.model, r.objective_ns) for r in read_records(tmp_path)] == [("a", 99), ("b", 12), ("c", 10)]
    assert not list(tmp_path.glob(".*-partial"))


def test_the_order_of_appending_does_not_show_in_the_end(tmp_path: Path) -> None:
    contents = []
    for name, order in (("one", RECORDS), ("two", RECORDS[::-1])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, order)
        with RecordLog(tmp_path / name) as log:
            log.finish(RECORDS)
        contents.append((tmp_path / name / RESULTS).read_bytes())
    assert contents[0] == contents[1]


def test_two_batches_cannot_share_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OutputError, match="another batch is writing"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        pass


def test_what_changed_makes_room_and_comes_back(tmp_path: Path) -> None:
    written(tmp_path)
    old, new = RECORDS[1], replace(RECORDS[1], key="new", model_sha256="new", objective_ns=99)
    for current, aside in ((new, old), (old, new)):
        with RecordLog(tmp_path) as log:
            log.records[current.key] = current
            log.finish([current])
        assert [r.key for r in read_records(tmp_path)] == [current.key, RECORDS[2].key, RECORDS[0].key]
        assert read_records(tmp_path, SUPERSEDED) == (aside,)
        with RecordLog(tmp_path) as log:
            assert set(log.records) == {r.key for r in (*RECORDS, new)}


def test_two_current_models_of_the_same_name_do_not_push_each_other_out(tmp_path: Path) -> None:
    both = [RECORDS[0], replace(RECORDS[0], key="twin", model_sha256="twin")]
    written(tmp_path, both)
    with RecordLog(tmp_path) as log:
        log.finish(both)
    assert len(read_records(tmp_path)) == 2
    assert not (tmp_path / SUPERSEDED).exists()
