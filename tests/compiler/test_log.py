from __future__ import annotations

import csv
import re
from typing import Any

import pytest

from segsolve.compiler.log import Mapping, read_report

from ..shared import MEASUREMENTS
from ..standins.standin_edgetpu_compiler import size
from . import logs

KIB, MIB = 2**10, 2**20


@pytest.mark.parametrize(
    ("text", "version", "used", "free", "streamed", "operations"),
    [
        (logs.V2_0, "2.0.267685300", 10 * KIB, round(1.73 * MIB) - 10 * KIB, 0, 3),
        (logs.V2_1, "2.1.302470888", round(6.86 * MIB), 7.75 * KIB, round(1.22 * MIB), 93),
        (logs.V14, "14.1.317412892", round(5.99 * MIB), 74 * KIB, round(15.73 * MIB), 108),
        (logs.V15, "15.0.340273435", round(1.92 * MIB), 1.75 * KIB, round(3.23 * MIB), 136),
        (logs.V16, "16.0.384591198", 604.5 * KIB, 511.5 * KIB, round(3.45 * MIB), 50),
    ],
    ids=["2.0", "2.1", "14", "15", "16"],
)
def test_memory_in_each_version(
    text: str, version: str, used: float, free: float, streamed: int, operations: int
) -> None:
    report = read_report(text)
    assert (report.version, report.failure, report.subgraphs) == (version, None, 1)
    assert (report.onchip_bytes, report.onchip_free_bytes, report.offchip_bytes) == (used, free, streamed)
    assert report.total_operations == operations


def test_operations_and_why_they_fell_back() -> None:
    report = read_report(logs.V15)
    assert [m.count for m in report.operations] == [15, 3, 3, 10, 1]
    assert report.fallen_back == (
        Mapping(kind="CUSTOM", count=1, status="Operation is working on an unsupported data type"),
    )
    assert {m.kind for m in read_report(logs.V2_0).fallen_back} == {"DEQUANTIZE", "QUANTIZE"}


def test_operations_come_from_the_log_if_there_is_one() -> None:
    assert read_report(logs.V16).operations == ()
    report = read_report(logs.V16, logs.OPERATION_LOG)
    assert sum(m.count for m in report.operations) == report.total_operations == 50
    assert [(m.kind, m.on_tpu) for m in report.operations[:2]] == [("ADD", False), ("ADD", True)]
    assert read_report(logs.V15, logs.OPERATION_LOG).operations == report.operations


@pytest.mark.parametrize(("text", "reason"), logs.FAILURES.items())
def test_failures(text: str, reason: str) -> None:
    report = read_report(text)
    assert report.failure == reason
    assert report.is_intermittent == reason.startswith("Internal")
    assert report.onchip_bytes is None


def test_lines_of_a_terminal_of_another_system() -> None:
    assert read_report(logs.V16.replace("\n", "\r\n")) == read_report(logs.V16)


def _rows() -> list[object]:
    path = MEASUREMENTS / "compiler_logs.csv"
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="no measurements: set SEGSOLVE_EDGETPU to a folder"))]
    with path.open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["onchip_used_mib"] and row["offchip_mib"]]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row and re.sub(r"\W+", "-", row["model"]))
def test_figures_of_every_published_report(row: dict[str, Any]) -> None:
    """Written as the compiler writes them, they are read back as exactly as two digits allow."""
    text = logs.V16 if row["compiler"].startswith("16") else logs.V15
    figures = [("used for caching", "onchip_used_mib"), ("remaining for caching", "onchip_remaining_mib")]
    for words, column in [*figures, ("used for streaming uncached", "offchip_mib")]:
        value = size(float(row[column]) * MIB) if row[column] else "?"
        text = re.sub(rf"({words} model parameters): \S+", rf"\1: {value}", text)
    report = read_report(text)
    assert report.failure is None
    for found, column in (
        (report.onchip_bytes, "onchip_used_mib"),
        (report.onchip_free_bytes, "onchip_remaining_mib"),
        (report.offchip_bytes, "offchip_mib"),
    ):
        expected = float(row[column]) * MIB if row[column] else None
        assert found == (None if expected is None else pytest.approx(expected, abs=0.006 * max(expected, 1)))
