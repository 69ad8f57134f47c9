"""What the tensors that cross a stage's border cost it, for blocks of stages at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.arrays import Arrays, Ints
from segsolve.cost.states import Ideals, Prefixes

_EXACT = 2**53  # below it, sums of whole numbers are exact in floating point
_BITS = 62


class Crossings(Protocol):
    """Sums of `inputs` [t] over the transfers that stages bring in, and of `outputs` [t] over those they hand out."""

    def block(self, first: int, end: int, columns: slice) -> Ints:
        """Return the sums [rows, columns] of the stages from states `first` to `end` (exclusive) to some states."""
        ...


class PrefixCrossings:
    """On prefixes the stages that pay a tensor are rectangles: rows that begin before, columns that end behind.

    A rectangle is four corners; the sums of a row are the running sums of the corners up to it.
    """

    def __init__(self, arrays: Arrays, states: Prefixes, inputs: Ints, outputs: Ints) -> None:
        self._columns = len(states) + 1
        made = states.after(arrays.producer)
        order = np.lexsort((states.rank(arrays.reader), arrays.read))
        read, after = arrays.read[order], states.after(arrays.reader[order])
        is_first = np.diff(read, prepend=-1) != 0
        begin = np.where(is_first, made[read], np.concatenate(([0], after))[: len(after)])
        last = np.zeros(len(made), dtype=np.int64)
        np.maximum.at(last, read, after)
        last[arrays.is_output] = len(states)
        from_device = np.where(arrays.producer >= 0, outputs, 0)
        self._corners(
            np.concatenate((begin, np.zeros_like(made))),
            np.concatenate((after, made)),
            np.concatenate((after, made)),
            np.concatenate((np.full(len(after), len(states)), last)),
            np.concatenate((inputs[read], from_device)),
        )

    def _corners(self, top: Ints, bottom: Ints, left: Ints, right: Ints, amounts: Ints) -> None:
        paid = (amounts > 0) & (top < bottom) & (left < right)
        top, bottom, left, right, amounts = (a[paid] for a in (top, bottom, left, right, amounts))
        rows = np.concatenate((top, top, bottom, bottom))
        order = np.argsort(rows, kind="stable")
        self._rows = rows[order]
        self._at = np.concatenate((left, right, left, right))[order]
        self._steps = np.concatenate((amounts, -amounts, -amounts, amounts))[order]

    def block(self, first: int, end: int, columns: slice) -> Ints:
        """Return the sums [rows, columns] of the stages from states `first` to `end` (exclusive) to some states."""
        steps = np.zeros((end - first, self._columns), dtype=np.int64)
        before, upto = np.searchsorted(self._rows, (first, end - 1), side="right")
        np.add.at(steps[0], self._at[:before], self._steps[:before])
        np.add.at(steps, (self._rows[before:upto] - first, self._at[before:upto]), self._steps[before:upto])
        stop = columns.stop
        return np.asarray(steps[:, :stop].cumsum(axis=0).cumsum(axis=1)[:, columns.start :], dtype=np.int64)


class IdealCrossings:
    """On ideals the sums are products of matrices, because what a stage pays is decided by its two ends apart.

    From I to J it brings in what is made in I and read in J more than in I; it hands out what is made in J, not in I,
    and still waits in J.
    """

    def __init__(self, arrays: Arrays, states: Ideals, inputs: Ints, outputs: Ints) -> None:
        members = states.members
        host = arrays.producer < 0
        made = members[:, arrays.producer] | host
        patterns = [self._pattern(members, t.consumers) for t in arrays.problem.transfers]
        waits = np.array([p != p[-1] for p in patterns], dtype=np.bool_).reshape(len(patterns), len(members)).T
        paid = waits & made
        self._row = np.asarray(paid @ inputs, dtype=np.int64)
        left, right = [], []
        for t in np.flatnonzero((inputs > 0) & paid.any(axis=0)):
            for pattern in np.unique(patterns[t][paid[:, t]]):
                same = patterns[t] == pattern
                left.append(-inputs[t] * (same & paid[:, t]))
                right.append(same)
        leaves = (waits | arrays.is_output) & made & ~host
        self._column = np.asarray(leaves @ outputs, dtype=np.int64)
        handed = np.flatnonzero((outputs > 0) & ~host & leaves.any(axis=0))
        left += [-outputs[t] * made[:, t] for t in handed]
        right += [leaves[:, t] for t in handed]
        count = len(members)
        self._left = np.array(left, dtype=np.int64).reshape(-1, count).T
        self._right = np.array(right, dtype=np.float64).reshape(-1, count)

    @staticmethod
    def _pattern(members: NDArray[np.bool_], consumers: tuple[int, ...]) -> Ints:
        """Return a number [states] that says which of the consumers each state holds; the last state holds all."""
        held = members[:, list(consumers)]
        if len(consumers) <= _BITS:
            return np.asarray(held @ (1 << np.arange(len(consumers), dtype=np.int64)), dtype=np.int64)
        return np.asarray(np.unique(held, axis=0, return_inverse=True)[1].reshape(-1), dtype=np.int64)

    def block(self, first: int, end: int, columns: slice) -> Ints:
        """Return the sums [rows, columns] of the stages from states `first` to `end` (exclusive) to some states."""
        total = _product(self._left[first:end], self._right[:, columns])
        total += self._row[first:end, None] + self._column[None, columns]
        return total


def _product(left: Ints, right: NDArray[np.float64]) -> Ints:
    """Return left @ right, right being of zeros and ones, exactly but at the speed of floating point."""
    if np.abs(left).sum(axis=1).max(initial=0) < _EXACT:
        return np.asarray(left.astype(np.float64) @ right, dtype=np.int64)
    high, low = left >> 30, left & (2**30 - 1)
    return (_product(high, right) << 30) + np.asarray(low.astype(np.float64) @ right, dtype=np.int64)
