"""Tables for analysis hold what the records hold."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from segsolve.batch.export import export
from segsolve.batch.log import RESULTS, RecordLog, read_records
from segsolve.batch.record import Record
from segsolve.errors import ExitCode, OutputError, UsageError
from segsolve.question.constraints import KINDS
from tests.batch.runs import record, start

FRONT = ("tpus", "period_ns", "latency_ns")
RECORDS = [
    record(
        "b",
        "dp",
        123456789012,
        cuts=(3, 5),
        stage_ns=(1, 2, 3),
        layout="3",
        tpus_used=3,
        gap=0.1,
        time_limit_s=1.5,
        note='say "hi", then go',
        constraints={"max_latency_ns": 20_000_000, "cut_before": ["conv5"]},
    ),
    record("a", "cpsat", None),
    record(
        "c",
        "layouts",
        7,
        front=((1, 20, 20), (6, 7, 24)),
        layout="2x3[2,1]",
        tpus_used=6,
        stage_replicas=(2, 1, 2, 1),
        stage_ns=(8, 4, 8, 4),
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with RecordLog(tmp_path) as log:
        log.append(RECORDS[0], {"wall_s": 0.25})
        log.append(RECORDS[1], {})
        log.append(RECORDS[2], {})
    with (tmp_path / RESULTS).open("a") as file:
        file.write('{"key":"torn')  # of a batch that is still at work
    return tmp_path


def test_parquet_round_trip(folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs segsolve[parquet]")
    assert export(folder, folder / "results.parquet") == 3
    rows = parquet.read_table(folder / "results.parquet").to_pylist()
    assert [row.pop("wall_s") for row in rows] == [None, 0.25, None]
    lists = {"cuts", "stage_replicas", "stage_ns", "stage_onchip_bytes", "stage_offchip_bytes", "weights"}
    texts = ("models", "asked_of_pool")
    rows = [
        row | {name: json.loads(row[name]) for name in texts} | {"models": tuple(json.loads(row["models"]))}
        for row in rows
    ]
    back = [{k: tuple(v) if k in lists else v for k, v in row.items()} for row in rows]
    flat = [asdict(r) for r in sorted(RECORDS, key=lambda r: r.order)]
    fronts, asked = zip(*((row.pop("front"), row.pop("constraints")) for row in flat), strict=True)
    assert [{k: row[k] for k in flat[0]} for row in back] == flat
    assert [list(zip(*(row[f"front_{k}"] for k in FRONT), strict=True)) for row in back] == [[*f] for f in fronts]
    assert [row["max_latency_ns"] for row in back] == [each.get("max_latency_ns") for each in asked]
    assert [row["cut_before"] for row in back] == [None, '["conv5"]', None]


def test_csv_round_trip(folder: Path) -> None:
    assert export(folder, folder / "results.csv") == 3
    with (folder / "results.csv").open(newline="") as file:
        first, second, third = csv.DictReader(file)
    own = [f.name for f in fields(Record) if f.name not in ("constraints", "front")]
    assert list(first) == [*own, *KINDS, *(f"front_{k}" for k in FRONT), "wall_s"]
    assert (first["model"], first["objective_ns"], first["cuts"], first["wall_s"]) == ("a", "", "", "")
    assert (second["objective_ns"], second["cuts"], second["stage_ns"]) == ("123456789012", "3 5", "1 2 3")
    assert (third["layout"], third["tpus_used"], third["stage_replicas"]) == ("2x3[2,1]", "6", "2 1 2 1")
    assert (second["no_spill"], second["outcome"], second["note"]) == ("false", "plan", 'say "hi", then go')


def test_exporting_changes_nothing(folder: Path) -> None:
    before = (folder / RESULTS).read_bytes()
    export(folder, folder / "results.csv")
    assert (folder / RESULTS).read_bytes() == before
    assert len(read_records(folder)) == 3


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither \.parquet nor \.csv"):
        export(folder, folder / "results.xlsx")
    with pytest.raises(UsageError, match=r"holds no results\.jsonl"):
        export(tmp_path / "elsewhere", folder / "results.csv")
    with pytest.raises(OutputError, match="cannot be written"):
        export(folder, folder / "missing" / "results.csv")


def test_the_command(folder: Path) -> None:
    process = start("export", folder, folder / "results.csv")
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (ExitCode.OK, "")
    assert stderr == f"wrote 3 records to {folder / 'results.csv'}\n"
