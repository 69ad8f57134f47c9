"""That no plan with shared devices has a period, by potentials: for all plans, or for regions that make up all.

A region's plans have allowed stages only; where a model is cut, or is not, makes two of one. Potentials prove a region
if all models are worth more than all devices: `dearest` looks for something on a device that is worth more than was
claimed. A device holds at most one stage of each model, within its memory and within the period; weights are cached by
first fit, stage after stage, in any order of the stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.dearest import Bools, Ints, alone, exceeds, together
from segsolve.checker.pool.document import Leaf, PoolCertificate, Shared
from segsolve.checker.pool.fits import Fits, fits_of


def prove_shared(certificate: PoolCertificate, proof: Shared) -> int:
    """Prove that no plan of one pipeline per model, on shared devices, has a period of `proof.period_ns` or less.

    Return how many stages there are.

    Raises:
        CertificateFault: the potentials do not show it.
    """
    devices = [_device(certificate, number, proof.period_ns) for number in range(len(certificate.kinds))]
    for leaf, allowed in _regions(certificate, proof):
        _prove(certificate, devices, leaf, allowed)
    return sum(len(own.first) for device in devices for own in device.fits)


def _regions(certificate: PoolCertificate, proof: Shared) -> Iterator[tuple[Leaf, list[Bools]]]:
    """Yield what proves each region, and the stages [states, states] of each model that are allowed there."""
    sizes = [len(row[0].cuts) + 2 for row in certificate.problems]
    left = [[np.ones((n, n), dtype=np.bool_) for n in sizes]]
    for node in proof.nodes:
        if not left:
            raise CertificateFault("the tree of regions goes on where nothing is left to prove")
        allowed = left.pop()
        if isinstance(node, Leaf):
            yield node, allowed
            continue
        model, low, high = node.split
        if model >= len(sizes) or not 0 < low <= high < sizes[model] - 1:
            raise CertificateFault(f"there is no split of model {model} at its states {low} to {high}")
        begin, end = np.arange(sizes[model])[:, None], np.arange(sizes[model])[None, :]
        uncut = ((begin < low) | (begin > high)) & ((end < low) | (end > high))
        cut = (begin >= low) | (end <= high)
        for keeps in (uncut, cut):  # the last is what comes next
            left.append([own & keeps if m == model else own for m, own in enumerate(allowed)])
    if left:
        raise CertificateFault(f"{len(left)} of the regions that make up all plans are not proven")


def _prove(certificate: PoolCertificate, devices: list[_Device], leaf: Leaf, allowed: list[Bools]) -> None:
    if any(own[0] != 0 or sorted(own) != own for own in leaf.potentials):
        raise CertificateFault("the potentials of a model do not begin at 0, or fall")
    ends = sum(own[-1] for own in leaf.potentials)
    available = sum(kind.count * worth for kind, worth in zip(certificate.kinds, leaf.worths, strict=True))
    if ends <= available:
        raise CertificateFault(
            f"the potentials do not show that no period is so short: devices may be worth {available}, all models are "
            f"{ends}"
        )
    potentials = [np.array(own, dtype=np.int64) for own in leaf.potentials]
    for kind, device, worth in zip(certificate.kinds, devices, leaf.worths, strict=True):
        if device.can_exceed(potentials, allowed, worth):
            raise CertificateFault(f"a device {kind.name} can be worth more than the {worth} that are claimed")


def _device(certificate: PoolCertificate, number: int, period: int) -> _Device:
    problems = [row[number] for row in certificate.problems]
    weights = [model.weight for model in certificate.models]
    fits = [
        fits_of(problem, period // model.weight, model, certificate.kinds[number].name)
        for problem, model in zip(problems, certificate.models, strict=True)
    ]
    return _Device(fits, weights, min(problem.capacity_bytes for problem in problems), period)


class _Device:
    """A kind of device, and what it is offered: the stages of each model, in `steps` one model's after the other's."""

    def __init__(self, fits: Sequence[Fits], weights: Sequence[int], capacity: int, period: int) -> None:
        self.fits, self._weights, self._capacity, self._period = fits, weights, capacity, period
        self._starts = np.cumsum([0, *(len(own.first) for own in fits)])
        stages = np.concatenate([own.stage + start for own, start in zip(fits, self._starts, strict=False)])
        self._steps = (
            np.concatenate([own.least for own in fits]),
            np.searchsorted(stages, np.arange(self._starts[-1] + 1)),
            np.concatenate([own.used for own in fits]),
            np.concatenate([own.time for own in fits]),
            np.array(weights, dtype=np.int64),
        )

    def can_exceed(self, potentials: Sequence[Ints], allowed: Sequence[Bools], worth: int) -> bool:
        """Whether stages that are allowed can be worth more together."""
        gains = [own[each.last] - own[each.first] for own, each in zip(potentials, self.fits, strict=True)]
        there = [own[each.first, each.last] for own, each in zip(allowed, self.fits, strict=True)]
        for holder, own in enumerate(self.fits):
            for need in np.unique(own.scratch[there[holder]]).tolist():
                offered = [
                    may & self._goes_with(each.scratch, need, m - holder)
                    for m, (may, each) in enumerate(zip(there, self.fits, strict=True))
                ]
                if self._finds(gains, offered, holder, max(0, self._capacity - need), worth):
                    return True
        return False

    def _goes_with(self, scratch: Ints, need: int, after: int) -> Bools:
        """Return which stages go with another model's being the first to need so much scratch memory."""
        return np.asarray(scratch == need if not after else scratch < need if after < 0 else scratch <= need)

    def _finds(self, gains: list[Ints], offered: list[Bools], holder: int, room: int, worth: int) -> bool:
        """Whether stages that are offered are worth more than `worth` in a room for their weights."""
        grids = np.stack(
            [
                alone(each.stage, each.used, each.time, gain, own, room, self._period, weight)
                for each, gain, own, weight in zip(self.fits, gains, offered, self._weights, strict=True)
            ]
        )
        most = together(grids)
        if most[-1, -1, -1] <= worth:
            return False
        dearest = [np.argsort(-gain, kind="stable") for gain in gains]
        chosen = [order[own[order]] for order, own in zip(dearest, offered, strict=True)]
        found: bool = exceeds(
            np.concatenate([own + start for own, start in zip(chosen, self._starts, strict=False)]),
            np.cumsum([0, *map(len, chosen)]),
            np.concatenate(gains),
            *self._steps,
            grids,
            most,
            holder,
            room,
            self._period,
            worth,
        )
        return found
