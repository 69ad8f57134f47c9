"""Profiles as a user writes them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any


def by_hand(**changes: Any) -> dict[str, Any]:
    """Four layers of 10 to 40 ns in a row; to cross a cut costs both its stages 5 ns."""
    names = ["a", "b", "c", "d"]
    document: dict[str, Any] = {
        "format": "segsolve-profile",
        "version": 1,
        "layers": [{"name": n, "time_ns": 10 * (i + 1), "param_bytes": 100} for i, n in enumerate(names)],
        "edges": [{"from": a, "to": b, "bytes": 7, "time_ns": 5} for a, b in pairwise(names)],
    }
    return document | changes


def write(folder: Path, document: Any, name: str = "profile.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path
