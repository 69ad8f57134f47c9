"""What every result states: machine, date, versions; and where it goes."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from math import exp, log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segsolve.measure.profile import processor

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("segsolve", "ortools", "ai-edge-litert", "numpy")


def environment() -> dict[str, Any]:
    """Return the machine, the date and the versions that a result was measured with."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "load_average": round(os.getloadavg()[0], 1),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def write_result(name: str, data: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``, the environment first."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"environment": environment(), **data}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return path


def add_results(name: str, section: str, parts: Mapping[str, Any]) -> None:
    """Add parts to a section of ``results/NAME.json``, in place of older ones of the same names, with when they ran."""
    known = _section(name, section)
    dated = {part: {"date": date.today().isoformat(), **data} for part, data in parts.items()}
    write_result(name, {section: known | dated})


def part_of(name: str, section: str, part: str) -> dict[str, Any]:
    """Return what a section of ``results/NAME.json`` says of a part, or nothing."""
    found: dict[str, Any] = _section(name, section).get(part, {})
    return found


def _section(name: str, section: str) -> dict[str, Any]:
    found: dict[str, Any] = read_result(name).get(section, {}) if (RESULTS / f"{name}.json").exists() else {}
    return found


def write_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``results/NAME.csv``, for rows too many to read in JSON."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_rows(name: str) -> list[dict[str, str]]:
    """Read rows back; every value is text."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_result(name: str) -> dict[str, Any]:
    """Read a result back."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return exp(sum(log(v) for v in values) / len(values))


@contextmanager
def zoo_file(name: str) -> Iterator[Path]:
    """Write a network of the zoo to a temporary file."""
    from segsolve.zoo.files import write_network

    with TemporaryDirectory() as folder:
        yield write_network(name, Path(folder))


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
