"""One inference on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.places import Place
from segsolve_runtime.errors import InputError, StageError


@dataclass(slots=True, eq=False)
class Job:
    """An inference: the tensors that are still needed, by name, and where it stands.

    `inputs` are kept while the inference may have to begin again, and are empty otherwise. `put_ns` is when it came to
    wait for its next stage, `ready_ns` when its latest stage ended. `claim` is asked when it is about to begin: it says
    whether it is still wanted.
    """

    number: int
    inputs: Tensors
    tensors: Tensors
    accepted_ns: int
    claim: Callable[[], bool] | None = None
    put_ns: int = 0
    ready_ns: int = 0
    failures: int = 0
    failed_at: tuple[Place, ...] = ()
    is_dropped: bool = False
    error: StageError | InputError | None = None
    """What took the place of its result."""
