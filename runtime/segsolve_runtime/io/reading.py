"""What is made of a result for people and scripts: the best classes, or the objects that were detected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from segsolve_runtime.contract.arrays import Array


class Reading(Protocol):
    """Reads a model's outputs."""

    def record(self, origin: str, outputs: Mapping[str, Array]) -> dict[str, Any]:
        """Return what a result says, as members of a JSON object; `origin` says which frame it belongs to."""
        ...

    def text(self, origin: str, outputs: Mapping[str, Array]) -> str:
        """Return what a result says, in a line."""
        ...

    def doubt(self) -> str | None:
        """Return a sentence if the reading may be wrong."""
        ...
