"""A stage's tensors in memory that two processes share."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from math import prod

import numpy as np

from segsolve_runtime.contract.arrays import Array, ArraySpec

_ALIGNMENT = 64  # bytes; what LiteRT and numpy like best


class SharedTensors:
    """Arrays by name in the memory of a file without a name; both processes lay them out alike."""

    def __init__(self, file: int, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> None:
        """Map the file with this descriptor, which is as large as `memory_bytes`."""
        self._map = mmap.mmap(file, memory_bytes(inputs, outputs))
        offset = 0
        arrays = []
        for spec in (*inputs, *outputs):
            count = prod(spec.shape)
            arrays.append(np.frombuffer(self._map, spec.dtype, count, offset).reshape(spec.shape))
            offset += _aligned(spec)
        names = [spec.name for spec in (*inputs, *outputs)]
        self.inputs: dict[str, Array] = dict(zip(names[: len(inputs)], arrays[: len(inputs)], strict=True))
        self.outputs: dict[str, Array] = dict(zip(names[len(inputs) :], arrays[len(inputs) :], strict=True))


def memory_bytes(inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """Return how much memory the arrays take together."""
    return max(_ALIGNMENT, sum(_aligned(spec) for spec in (*inputs, *outputs)))


def memory_file(size: int) -> int:
    """Return the descriptor of a new file of memory that has no name and goes with its last user."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("segsolve-tensors")
    else:
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
    os.ftruncate(file, size)
    return file


def _aligned(spec: ArraySpec) -> int:
    size = prod(spec.shape) * spec.dtype.itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT
