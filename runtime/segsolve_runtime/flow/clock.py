"""How time passes in a run: by itself, or as the plan predicts."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Literal, TypeAlias

Clocks: TypeAlias = Literal["wall", "paced", "virtual"]
"""``wall``: the machine's. ``paced``: the machine's, and every stage takes at least its predicted time. ``virtual``:
every stage takes exactly its predicted time, and every frame is there at time 0."""


def wall_clock() -> Callable[[], int]:
    """Return what tells the ns since now."""
    origin = perf_counter_ns()
    return lambda: perf_counter_ns() - origin
