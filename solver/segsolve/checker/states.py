"""The states between which stages lie, and whether they are all that there can be."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.document import Certificate, Problem
from segsolve.checker.failure import CertificateFault

MOST_STATES = 20_000  # a row of pairs is checked at a time, so that time is the limit
_MOST_ENTRIES = 2 * 10**8  # of a table of states by operations, tensors or measured stages


class Scope(StrEnum):
    """Over which cuts a certificate speaks."""

    GRAPH = "dag"
    ORDER = "chain"


@dataclass(frozen=True, eq=False)
class States:
    """Sets of operations that can be done when a stage ends: rows of `members` [n, operations].

    The first is empty, the last holds all.
    """

    members: NDArray[np.bool_]
    scope: Scope


def read_states(certificate: Certificate) -> States:
    """Return the states of a certificate.

    Raises:
        CertificateFault: they are neither all ideals of the graph nor all prefixes of the execution order.
    """
    problem = certificate.problem
    sets = _parsed(certificate)
    prefixes = [(1 << end) - 1 for end in (0, *problem.cuts, len(problem.ops))]
    ideals = _ideals(problem, len(sets))
    if ideals is not None and set(ideals) == set(sets):
        return States(_members(sets, len(problem.ops)), Scope.GRAPH)
    if set(prefixes) == set(sets):
        return States(_members(sets, len(problem.ops)), Scope.ORDER)
    raise CertificateFault(
        "the states are neither all sets of operations that the graph allows to be done, nor all prefixes of the "
        "execution order: a better plan may pass through one that is not there"
    )


def _parsed(certificate: Certificate) -> list[int]:
    if len(certificate.states) > MOST_STATES:
        raise CertificateFault(f"{len(certificate.states)} states are more than {MOST_STATES}, too many to check")
    problem = certificate.problem
    width = max(len(problem.ops), len(problem.transfers), len(problem.measured))
    if len(certificate.states) * width > _MOST_ENTRIES:
        raise CertificateFault(f"{len(certificate.states)} states of {width} parts are too many to check")
    whole = (1 << len(problem.ops)) - 1
    longest = len(f"{whole:x}")
    if any(len(text) > longest for text in certificate.states):
        raise CertificateFault("a state holds an operation that does not exist")
    sets = [int(text, 16) for text in certificate.states]
    if max(sets) > whole:
        raise CertificateFault("a state holds an operation that does not exist")
    if len(set(sets)) != len(sets):
        raise CertificateFault("a state is listed twice")
    if sets[0] != 0 or sets[-1] != whole:
        raise CertificateFault("the states do not lead from nothing done to everything done")
    return sets


def _ideals(problem: Problem, most: int) -> list[int] | None:
    """Return all ideals as bits, operation by operation; None if there are more than `most`.

    Grown along the execution order: what is an ideal of the first runs of operations stays one, and gains a twin with
    the next run if it holds all that this one reads. Runs between two neighbouring legal cuts stay together.
    """
    starts = [0, *problem.cuts]
    ends = [*problem.cuts, len(problem.ops)]
    needs = _needs(problem, starts, ends)
    found = [0]
    for start, end, need in zip(starts, ends, needs, strict=True):
        run = (1 << end) - (1 << start)
        found += [ideal | run for ideal in found if need & ~ideal == 0]
        if len(found) > most:
            return None
    return found


def _needs(problem: Problem, starts: list[int], ends: list[int]) -> list[int]:
    """Return for each run the operations outside of it that it reads from, as bits, whole runs of them."""
    needs = [0] * len(starts)
    for tensor in problem.transfers:
        if tensor.producer >= 0:
            maker = bisect_right(starts, tensor.producer) - 1
            for reader in {bisect_right(starts, op) - 1 for op in tensor.consumers} - {maker}:
                needs[reader] |= (1 << ends[maker]) - (1 << starts[maker])
    return needs


def _members(sets: list[int], ops: int) -> NDArray[np.bool_]:
    size = -(-ops // 8)
    packed = np.frombuffer(b"".join(held.to_bytes(size, "little") for held in sets), dtype=np.uint8)
    unpacked = np.unpackbits(packed.reshape(len(sets), size), axis=1, bitorder="little", count=ops)
    return unpacked.astype(np.bool_)
