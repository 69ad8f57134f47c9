"""How time passes in a run: by itself, or as the plan predicts."""

from __future__ import annotations

from typing import Literal, TypeAlias

Clocks: TypeAlias = Literal["wall", "paced", "virtual"]
"""``wall``: the machine's. ``paced``: the machine's, and every stage takes at least its predicted time. ``virtual``:
every stage takes exactly its predicted time, and every frame is there at time 0."""
