"""One inference on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from segsolve_runtime.contract.arrays import Tensors

Outcome: TypeAlias = Tensors | BaseException
"""What came of a stage, or of all: tensors by name, or the exception that took their place."""


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """An inference: the tensors that are still needed, by name, and where it stands.

    `inputs` are kept while the inference may have to begin again, and are empty otherwise.
    """

    number: int
    inputs: Tensors
    tensors: Tensors
    accepted_ns: int
    failures: int = 0
    ready_ns: int = 0
