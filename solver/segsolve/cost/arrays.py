"""A problem's costs in columns, the form in which the prices of many stages are computed at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import Problem

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Columns over a problem's operations [n] and transfers [t]; ns and bytes."""

    problem: Problem

    @cached_property
    def compute_ns(self) -> Ints:
        """What each operation computes with its weights on chip."""
        return _column(op.compute_ns for op in self.problem.ops)

    @cached_property
    def core_ns(self) -> Ints:
        """What each operation takes on a core; 0 where it cannot run."""
        return _column(op.cpu_ns or 0 for op in self.problem.ops)

    @cached_property
    def needs_core(self) -> Ints:
        """1 for each operation that no accelerator runs."""
        return _column(not op.on_accelerator for op in self.problem.ops)

    @cached_property
    def needs_accelerator(self) -> Ints:
        """1 for each operation that no core runs."""
        return _column(op.cpu_ns is None for op in self.problem.ops)

    @cached_property
    def streaming_ns(self) -> Ints:
        """What each operation takes longer when its weights stream."""
        return _column(op.streamed_ns - op.compute_ns for op in self.problem.ops)

    @cached_property
    def streamed_bytes(self) -> Ints:
        """What each operation streams when its weights do."""
        return _column(op.streamed_bytes for op in self.problem.ops)

    @cached_property
    def link_bytes(self) -> Ints:
        """What a shared link carries for each operation wherever its weights are."""
        return _column(op.link_bytes for op in self.problem.ops)

    @cached_property
    def always_streams(self) -> Ints:
        """1 for each operation whose weights stream wherever it is placed."""
        return _column(bool(op.weight_bytes) and not op.cacheable for op in self.problem.ops)

    @cached_property
    def weight_bytes(self) -> Ints:
        """The cacheable weights of each operation."""
        return _column(op.weight_bytes if op.cacheable else 0 for op in self.problem.ops)

    @cached_property
    def scratch_bytes(self) -> Ints:
        """The memory that each operation takes from the weights of its stage."""
        return _column(op.scratch_bytes for op in self.problem.ops)

    @property
    def fits_anyway(self) -> bool:
        """Whether all weights fit a single device, whatever shares it: then memory decides nothing."""
        return int(self.weight_bytes.sum()) <= self.least_capacity

    @property
    def least_capacity(self) -> int:
        """What the hungriest activations leave for weights."""
        scratch = max((int(self.scratch_bytes.max()), *(t.scratch_bytes for t in self.problem.large_inputs)))
        return max(0, self.problem.capacity_bytes - scratch)

    @cached_property
    def input_ns(self) -> Ints:
        """What each transfer costs a stage that brings it in."""
        return _column(t.input_ns for t in self.problem.transfers)

    @cached_property
    def output_ns(self) -> Ints:
        """What each transfer costs a stage that hands it out."""
        return _column(t.output_ns for t in self.problem.transfers)

    @cached_property
    def transfer_bytes(self) -> Ints:
        """The size of each transfer."""
        return _column(t.nbytes for t in self.problem.transfers)

    @cached_property
    def producer(self) -> Ints:
        """Who makes each transfer; -1 is the host."""
        return _column(t.producer for t in self.problem.transfers)

    @cached_property
    def is_output(self) -> Flags:
        """Whether the host wants each transfer, whoever else reads it."""
        return np.array([t.is_output for t in self.problem.transfers], dtype=np.bool_)

    @cached_property
    def reader(self) -> Ints:
        """Who reads, transfer by transfer, all in one column."""
        return _column(c for t in self.problem.transfers for c in t.consumers)

    @cached_property
    def read(self) -> Ints:
        """The transfer that each of `reader` reads."""
        return _column(k for k, t in enumerate(self.problem.transfers) for _ in t.consumers)


def _column(amounts: Iterable[int]) -> Ints:
    return np.array(list(amounts), dtype=np.int64)
