"""The published measurements, as they lie in a folder of CSV files."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

_SIBLING = Path(__file__).resolve().parents[2].parent / "shared" / "edgetpu"
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Measurements:
    """A folder of measurements; a table that is not there is empty."""

    folder: Path

    def table(self, name: str) -> list[Row]:
        """Return the rows of ``NAME.csv``."""
        path = self.folder / f"{name}.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))


def default_folder() -> Path:
    """Return $SEGSOLVE_EDGETPU, or the folder beside the repository."""
    return Path(os.environ.get("SEGSOLVE_EDGETPU", _SIBLING))


def mib(text: str) -> float | None:
    """Return a number of a table, or nothing for an empty field."""
    return float(text) if text.strip() else None
