"""What an inference gives."""

from __future__ import annotations

from collections.abc import Mapping

from segsolve_runtime.contract.arrays import Array


class Result(dict[str, Array]):
    """The model's outputs by name, in the plan's order; `number` is that of their frame, counted from 0."""

    __slots__ = ("number",)

    def __init__(self, outputs: Mapping[str, Array], *, number: int) -> None:
        super().__init__(outputs)
        self.number = number
