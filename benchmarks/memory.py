"""The memory of a process, for checks that it stays the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def resident_mib(process: int | Literal["self"] = "self") -> float:
    """Return the resident memory of a process (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth_mib(samples: list[float]) -> float:
    """Return by how much memory grew from the second to the last quarter of the samples, on average."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    return sum(late) / len(late) - sum(early) / len(early)
