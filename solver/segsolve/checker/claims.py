"""Whether the potentials of each claim keep their inequalities, for every stage that the constraints allow.

A claim says of all pipelines of at most `tpus` devices whose shares, ceil(stage time / replicas), are all below
`below_ns`, and with `most_stages` of those of at most so many stages: there is none, or each adds up to at least
`at_least` of its `cost`. Its potentials are lower bounds on what
the way from a state to the end takes: devices, or cost with d devices left. They are lower bounds if they are 0 at
the end and no stage drops by more than it takes; then the value at the start is one for all pipelines.

What keeps its inequality by cheap bounds is not priced; tests of a stage are over all claims before the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.constraint import MOST_TOTAL, Mask
from segsolve.checker.document import Certificate, Claim
from segsolve.checker.failure import CertificateFault
from segsolve.checker.kept import Constraints
from segsolve.checker.rows import FORBIDDEN, Flags, Ints, Row, Rows
from segsolve.checker.states import States

_INFINITE = 2**62
_BLOCK = 64  # states whose stages are priced together


@dataclass(frozen=True, slots=True)
class Checked:
    """How many inequalities were looked at, and for how many of them a stage had to be priced."""

    inequalities: int
    priced: int


def check_claims(certificate: Certificate, states: States) -> Checked:
    """Check every claim of a certificate.

    Raises:
        CertificateFault: an inequality does not hold, or the potentials prove less than the claim says.
    """
    claims = [_Potentials(number, claim, certificate, states) for number, claim in enumerate(certificate.claims)]
    rows = Rows(certificate.problem, states)
    allowed = _Allowed(certificate.question.constraints, states)
    inequalities = priced = 0
    states_left = range(len(states.members) - 1 if claims else 0)
    for first in states_left[::_BLOCK]:
        opened = []
        for row in states_left[first : first + _BLOCK]:
            columns = rows.above(row)
            columns = columns[allowed.anywhere(row, columns)]
            inequalities += len(columns) * len(claims)
            columns = columns[_is_open(row, columns, rows, claims)]
            if len(columns):
                opened.append((row, columns))
        _check_rows(opened, rows, claims, allowed)
        priced += sum(len(columns) for _, columns in opened)
    return Checked(inequalities, priced)


def _is_open(row: int, columns: Ints, rows: Rows, claims: list[_Potentials]) -> Flags:
    """Return which stages have to be priced."""
    least = rows.least_time(row, columns)
    open_ = np.zeros(len(columns), dtype=np.bool_)
    for claim in claims:
        open_ |= claim.is_open(row, columns, least)
    return open_


def _check_rows(opened: list[Row], rows: Rows, claims: list[_Potentials], allowed: _Allowed) -> None:
    """Check stages, at their exact costs."""
    counts_bytes = any(claim.cost == "bytes" for claim in claims)
    moved = rows.moved_bytes(opened) if counts_bytes else repeat(np.zeros(0, dtype=np.int64))
    for (row, columns), time, nbytes in zip(opened, rows.times(opened), moved, strict=False):
        costs = {None: time, "latency": time, "stages": np.ones_like(time), "bytes": nbytes}
        for claim in claims:
            claim.check(row, columns, time, costs[claim.cost], allowed)


class _Allowed:
    """Which stages the constraints leave."""

    def __init__(self, constraints: Constraints, states: States) -> None:
        self._members, kept = states.members, constraints.all
        self._masks = [mask for constraint in kept for mask in constraint.masks(states.members)]
        self._numbered = [constraint for constraint in kept if constraint.is_about_numbers]

    def anywhere(self, row: int, columns: Ints) -> Flags:
        """Return which stages keep what does not depend on their number."""
        return _all(self._masks, row, columns)

    def at(self, stage: int, row: int, columns: Ints) -> Flags:
        """Return which stages may be the stage of a number."""
        masks = (mask for constraint in self._numbered for mask in constraint.masks_at(self._members, stage))
        return _all(masks, row, columns)


def _all(masks: Iterable[Mask], row: int, columns: Ints) -> Flags:
    kept = np.ones(len(columns), dtype=np.bool_)
    for mask in masks:
        kept &= mask(row, columns)
    return kept


class _Potentials:
    """One claim's potentials [layers, devices, states]; without a cost, one row stands in for the devices."""

    def __init__(self, number: int, claim: Claim, certificate: Certificate, states: States) -> None:
        self._claim, self._name = claim, f"claim {number}"
        self._replicate = certificate.replicate
        self._enough = claim.tpus + 1 if claim.at_least is None else claim.at_least
        self._values = self._read(claim.potentials, len(states.members))
        self.cost = claim.cost
        self._check_layers(certificate)
        self._check_ends()

    def is_open(self, row: int, columns: Ints, least_ns: Ints) -> Flags:
        """Return which inequalities do not hold already if stages take no more than their cheap bounds."""
        need = self._need(least_ns)
        cheap = {"latency": least_ns, "stages": np.ones_like(least_ns)}
        least = cheap.get(self.cost or "", np.zeros_like(least_ns))
        open_ = np.zeros(len(columns), dtype=np.bool_)
        for layer, after in self._steps():
            open_ |= ~self._holds(layer, after, row, columns, need, least)
        return open_

    def check(self, row: int, columns: Ints, time_ns: Ints, cost: Ints, allowed: _Allowed) -> None:
        """Check the stages from one state, whose times and costs are exact."""
        need = np.where(time_ns >= FORBIDDEN, _INFINITE, self._need(time_ns))
        for layer, after in self._steps():
            kept = self._holds(layer, after, row, columns, need, cost)
            if self._is_layered:
                kept |= ~allowed.at(layer, row, columns)
            if not kept.all():
                to = int(columns[int(np.argmin(kept))])
                raise CertificateFault(f"{self._name}: the stage from state {row} to state {to} breaks its potentials")

    def _holds(self, layer: int, after: int, row: int, columns: Ints, need: Ints, cost: Ints) -> Flags:
        here, there = self._values[layer, :, row], self._values[after][:, columns]
        if self._claim.cost is None:
            return np.asarray(here[0] <= np.minimum(self._enough, need + there[0]), dtype=np.bool_)
        kept = np.ones(len(columns), dtype=np.bool_)
        for count in map(int, np.unique(need)):
            if count <= self._claim.tpus:
                which = np.flatnonzero(need == count)
                rest = there[: len(there) - count, which] + cost[which]
                kept[which] = (here[count:, None] <= rest).all(axis=0)
        return kept

    def _need(self, time_ns: Ints) -> Ints:
        """Return the fewest devices that keep a stage's share below the claim's bound."""
        if self._claim.below_ns is None:
            return np.ones_like(time_ns)
        most = self._claim.below_ns - 1
        if most < 1:
            return np.where(time_ns <= most, 1, _INFINITE)
        need = np.maximum(1, -(-time_ns // most))
        return need if self._replicate else np.where(need > 1, _INFINITE, need)

    def _steps(self) -> Iterator[tuple[int, int]]:
        """Yield each layer from which a stage leads, and that to which it does."""
        return pairwise(range(len(self._values))) if self._is_layered else iter([(0, 0)])

    @property
    def _is_layered(self) -> bool:
        return len(self._values) > 1

    def _read(self, layers: list[list[list[int | None]]], states: int) -> NDArray[np.int64]:
        rows = 1 if self._claim.cost is None else self._claim.tpus + 1
        if not layers or any(len(layer) != rows or any(len(row) != states for row in layer) for layer in layers):
            raise CertificateFault(f"{self._name} has not a potential for each of {states} states")
        listed = [[[MOST_TOTAL if v is None else v for v in row] for row in layer] for layer in layers]
        values = np.minimum(np.array(listed, dtype=np.int64), self._enough)  # more than enough proves no more
        if (values[:, 1:] > values[:, :-1]).any():  # `is_open` relies on it
            raise CertificateFault(f"{self._name}: a potential grows with the devices that are left")
        return values

    def _check_layers(self, certificate: Certificate) -> None:
        """Without layers a claim ignores the numbers of stages; with them it must have one for each there can be."""
        limits = (certificate.question.constraints.most_stages, self._claim.most_stages)
        runs = len(certificate.problem.cuts) + 1
        most = min(self._claim.tpus, runs, *(limit for limit in limits if limit is not None))
        if self._is_layered and len(self._values) <= most:
            raise CertificateFault(f"{self._name} speaks of {len(self._values) - 1} stages, there may be {most}")

    def _check_ends(self) -> None:
        if self._values[:, :, -1].any():
            raise CertificateFault(f"{self._name}: a potential at the end is not 0")
        if self._values[0, -1, 0] < self._enough:
            what = "devices" if self._claim.cost is None else self._claim.cost
            raise CertificateFault(f"{self._name}: its potential at the start is too small for its {what}")
