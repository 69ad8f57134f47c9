"""A terminal that names in files cannot take over: what would move its cursor or rename its window is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.segment import Segment

from segsolve_runtime.streams import visible


class Terminal(Console):
    """Rich's console, whose own control codes are left as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def render(self, *args: Any, **options: Any) -> Iterator[Segment]:
        """Yield what is printed."""
        for segment in super().render(*args, **options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
