"""The most that one device can be worth under potentials: the checker's own search, over all that it can hold.

A device holds at most one stage of each model, within its memory and within a period; weights are cached by first fit,
stage after stage, in any order of the stages; one that is worth nothing may leave the next a room that suits it better.
Those orders are all tried, and given up where the stages that are still
to come cannot add enough: their memory and time are rounded down to levels for that, which errs upwards only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate, Shared
from segsolve.checker.pool.fits import Fits, fits_of

Ints = NDArray[np.int64]
Models = frozenset[int]
_MEMORY, _TIME = 512, 512  # levels of memory and of a period, for one model
_WIDE = 8  # of them are one for several models
_AT_ONCE = 2**20  # stages tried at a time


def prove_shared(certificate: PoolCertificate, proof: Shared) -> int:
    """Prove that no plan of one pipeline per model, on shared devices, has a period of `proof.period_ns` or less.

    Return how many stages there are.

    Raises:
        CertificateFault: the potentials do not show it.
    """
    if any(own[0] != 0 or sorted(own) != own for own in proof.potentials):
        raise CertificateFault("the potentials of a model do not begin at 0, or fall")
    ends = sum(own[-1] for own in proof.potentials)
    available = sum(kind.count * worth for kind, worth in zip(certificate.kinds, proof.worths, strict=True))
    if ends <= available:
        raise CertificateFault(
            f"the potentials do not show that no period is {proof.period_ns} ns or less: devices may be worth "
            f"{available}, all models are {ends}"
        )
    stages = 0
    for number, kind in enumerate(certificate.kinds):
        problems = [row[number] for row in certificate.problems]
        weights = [model.weight for model in certificate.models]
        fits = [
            fits_of(problem, proof.period_ns // model.weight, model.constraints)
            for problem, model in zip(problems, certificate.models, strict=True)
        ]
        stages += sum(len(own.first) for own in fits)
        gains = [
            (potentials := np.array(own, dtype=np.int64))[each.last] - potentials[each.first]
            for own, each in zip(proof.potentials, fits, strict=True)
        ]
        device = _Device(fits, gains, weights, min(p.capacity_bytes for p in problems), proof.period_ns)
        if device.can_exceed(proof.worths[number]):
            raise CertificateFault(
                f"a device {kind.name} can be worth more than the {proof.worths[number]} that are claimed, so that the "
                f"potentials do not show that no period is {proof.period_ns} ns or less"
            )
    return stages


@dataclass(frozen=True, eq=False)
class _Device:
    """A kind of device, and what it is offered: stages of each model with what they are worth."""

    fits: Sequence[Fits]
    gains: Sequence[Ints]
    weights: Sequence[int]
    capacity: int
    period: int

    def can_exceed(self, worth: int) -> bool:
        """Whether stages can be worth more together."""
        for number, own in enumerate(self.fits):
            for need in np.unique(own.scratch).tolist():
                chosen = [self._offered(m, need, number) for m in range(len(self.fits))]
                if _Search(self, chosen, number, need, worth).finds():
                    return True
        return False

    def _offered(self, model: int, need: int, holder: int) -> Ints:
        """Return the stages that go with `holder` being the first model to need so much scratch memory."""
        scratch, gains = self.fits[model].scratch, self.gains[model]
        found = np.flatnonzero(
            scratch == need if model == holder else scratch < need if model < holder else scratch <= need
        )
        return found[np.argsort(-gains[found], kind="stable")]


class _Search:
    """All lists of stages, in caching order, on a device with some scratch memory."""

    def __init__(self, device: _Device, chosen: list[Ints], holder: int, need: int, worth: int) -> None:
        self._device, self._chosen, self._holder, self._worth = device, chosen, holder, worth
        self._room = max(0, device.capacity - need)
        self._level = self._room // _MEMORY + 1  # bytes
        self._alone = [self._grid(m, own) for m, own in enumerate(chosen)]
        self._most: dict[Models, Ints] = {
            frozenset((m,)): grid[_WIDE - 1 :: _WIDE, _WIDE - 1 :: _WIDE] for m, grid in enumerate(self._alone)
        }

    def finds(self) -> bool:
        """Whether one is worth more than was claimed."""
        everyone = frozenset(range(len(self._chosen)))
        if int(self._together(everyone)[-1, -1]) <= self._worth:
            return False
        start = np.array([self._room]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        return self._placed(everyone, *start)

    def _placed(self, left: Models, room: Ints, load: Ints, worth: Ints) -> bool:
        """Whether lists with some room, load and worth grow to one that is worth too much."""
        for m in sorted(left):
            rest, gains = left - {m}, self._device.gains[m][self._chosen[m]]
            wanted = self._worth + 1 - worth - self._bound(rest, room, load)
            tries = np.searchsorted(-gains, -np.maximum(wanted, 0), side="right")
            begin = 0
            while begin < len(tries):
                end = begin + max(1, int(np.searchsorted(np.cumsum(tries[begin:]), _AT_ONCE, side="right")))
                if self._tried(m, rest, tries[begin:end], room[begin:end], load[begin:end], worth[begin:end]):
                    return True
                begin = end
        return False

    def _tried(self, m: int, rest: Models, tries: Ints, room: Ints, load: Ints, worth: Ints) -> bool:
        """Whether lists, each with so many of the dearest stages of a model in turn, come to be worth too much."""
        device, fits = self._device, self._device.fits[m]
        which = np.repeat(np.arange(len(tries)), tries)
        stage = self._chosen[m][np.arange(len(which)) - np.repeat(np.cumsum(tries) - tries, tries)]
        soon = load[which] + fits.least[stage] * device.weights[m] <= device.period
        which, stage = which[soon], stage[soon]
        time, used = fits.at(stage, room[which])
        after = load[which] + np.minimum(time, device.period + 1) * device.weights[m]
        total = worth[which] + device.gains[m][stage]
        inside = after <= device.period
        if np.any(inside & (total > self._worth)) and self._holder not in rest:
            return True
        if not rest:
            return False
        which, after, total = which[inside], after[inside], total[inside]
        free = room[which] - used[inside]
        hopeful = total + self._bound(rest, free, after) > self._worth
        return bool(hopeful.any()) and self._placed(rest, free[hopeful], after[hopeful], total[hopeful])

    def _bound(self, models: Models, room: Ints, load: Ints) -> Ints:
        """Return what stages of some models add at most."""
        if not models:
            return np.zeros(len(room), dtype=np.int64)
        level = room // self._level
        time = (self._device.period - load) * (_TIME - 1) // max(1, self._device.period)
        if len(models) == 1:
            return np.asarray(self._alone[min(models)][level, time])
        return np.asarray(self._together(models)[level // _WIDE, time // _WIDE])

    def _together(self, models: Models) -> Ints:
        """Return the most that one stage of each of some models is worth together [memory, time], in wide levels."""
        if models not in self._most:
            one = max(models)
            self._most[models] = _convolved(self._together(models - {one}), self._together(frozenset((one,))))
        return self._most[models]

    def _grid(self, m: int, stages: Ints) -> Ints:
        """Return what one stage of a model is worth at most [levels of memory, of time], amounts rounded down."""
        fits, period = self._device.fits[m], self._device.period
        offered = np.zeros(len(fits.first), dtype=bool)
        offered[stages] = True
        keep = offered[fits.stage] & (fits.used <= self._room) & (fits.time <= period // self._device.weights[m])
        stage, used, time = fits.stage[keep], fits.used[keep], fits.time[keep]
        grid = np.zeros((_MEMORY, _TIME), dtype=np.int64)
        at = used // self._level, time * self._device.weights[m] * (_TIME - 1) // max(1, period)
        np.maximum.at(grid, at, self._device.gains[m][stage])
        return np.maximum.accumulate(np.maximum.accumulate(grid, axis=1), axis=0)


def _convolved(one: Ints, other: Ints) -> Ints:
    """Return the largest sums of a cell of each grid whose levels add up to no more than those of the cell."""
    result = np.maximum(one, other)
    rises = other > 0
    rises[1:] &= other[1:] > other[:-1]
    rises[:, 1:] &= other[:, 1:] > other[:, :-1]
    for j, t in np.argwhere(rises).tolist():
        into = result[j:, t:]
        np.maximum(into, one[: into.shape[0], : into.shape[1]] + other[j, t], out=into)
    return result
