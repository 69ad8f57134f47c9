"""The records of a folder as a table for analysis: one row each, flat columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from segsolve.batch.log import RESULTS, read_records, read_timings
from segsolve.batch.record import Record
from segsolve.errors import UsageError, writing_to
from segsolve.question.constraints import KINDS
from segsolve_runtime.contract.files import is_file
from segsolve_runtime.contract.writing import replace_file

WALL = "wall_s"  # seconds that the job took, in the run that did it
_NESTED = ("constraints", "front")
_TEXTS = ("models", "asked_of_pool")  # as JSON
_FRONT = ("front_tpus", "front_period_ns", "front_latency_ns")  # a list each, one entry per point
COLUMNS = (*(f.name for f in fields(Record) if f.name not in _NESTED), *KINDS, *_FRONT, WALL)
_LISTS = ("cuts", "weights", "stage_replicas", "stage_ns", "stage_onchip_bytes", "stage_offchip_bytes", *_FRONT)
_BOOLEANS = ("no_spill", "best_without_copies")
_LIMITS = tuple(key for key, kind in KINDS.items() if not kind.names_operations)  # the others are JSON, in a text
_FLOATS = ("time_limit_s", "gap", "throughput_fps", "wanted_scale_fps", *_LIMITS, WALL)
_SETTINGS = ("memory_bytes", "tpus", "tpus_used", "seed", "workers", "batch")
_INTEGERS = (
    *_SETTINGS,
    "objective_ns",
    "period_ns",
    "bound_ns",
    "latency_ns",
    "offchip_bytes",
    "one_tpu_ns",
    "simple_ns",
)


def export(folder: Path, output: Path) -> int:
    """Write the records of a batch's folder as .parquet or .csv, and return how many there are.

    Raises:
        UsageError: the suffix is another, the folder has no records, or pyarrow is missing.
        OutputError: the file cannot be written.
    """
    writers = {".parquet": _parquet, ".csv": _csv}
    if output.suffix not in writers:
        raise UsageError(f"{output} is neither .parquet nor .csv", "name the file results.parquet or results.csv")
    rows = _rows(folder)
    content = writers[output.suffix](rows)
    with writing_to(output, "choose another file"):
        replace_file(output, content)
    return len(rows)


def _rows(folder: Path) -> Sequence[dict[str, Any]]:
    if not is_file(folder / RESULTS):
        raise UsageError(f"{folder} holds no {RESULTS}", "name the folder that `segsolve batch -o` wrote")
    timings = read_timings(folder)
    records = sorted(read_records(folder), key=lambda record: record.order)
    return [{**_row(r), WALL: timings.get(r.key, {}).get(WALL)} for r in records]


def _row(record: Record) -> dict[str, Any]:
    """Return a record's columns: constraints one each, by name, and a front as lists."""
    flat = {name: value for name, value in asdict(record).items() if name not in _NESTED}
    asked = {key: record.constraints.get(key) for key in KINDS}
    texts = {key: json.dumps(v) if v is not None and key not in _LIMITS else v for key, v in asked.items()}
    fronts = dict(zip(_FRONT, zip(*record.front, strict=True), strict=False)) if record.front else {}
    flat |= {name: json.dumps(flat[name]) for name in _TEXTS}
    return {**flat, "outcome": str(record.outcome), **texts, **dict.fromkeys(_FRONT, ()), **fronts}


def _csv(rows: Iterable[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Lists as numbers between blanks, truth as JSON writes it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    try:
        pa: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError("Parquet needs pyarrow", "pip install pyarrow, or export to .csv") from None
    kinds = dict.fromkeys(COLUMNS, pa.string())
    kinds |= dict.fromkeys(_LISTS, pa.list_(pa.int64())) | dict.fromkeys(_BOOLEANS, pa.bool_())
    kinds |= dict.fromkeys(_FLOATS, pa.float64()) | dict.fromkeys(_INTEGERS, pa.int64())
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(list(kinds.items()))), sink)
    return bytes(sink.getvalue().to_pybytes())
