"""Every pattern that one TPU can hold and do within a period and that is worth enough, exactly as it is priced.

Residents are placed one after the other as the device caches them, by first fit, in every order. Those that are worth
nothing are placed too: they leave less room to the next, which may be faster then, as first fit is not monotone. What
the models that are still to come can add is bounded by `rooms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.pool.model import MOST_PERIOD_NS
from segsolve.pool.patterns import Held
from segsolve.pool.placing import blocks, least_by_room, least_loads, place
from segsolve.pool.rooms import NONE, Bools, Corners, Narrow, corners, entries, extend, first
from segsolve.pool.steps import LEVEL_BITS, Steps

_ROOM_BITS = 16  # of a level of rooms, in bytes
_WIDE_BITS = 6  # of the number of levels of rooms by which blocks of stages are left out
_TIMES = 160  # levels of a period
_CLASSES = 8  # of stages by their scratch memory, for bounds
_ENOUGH = 2**20
_PARTS_OF_SPAN = (0.0, 0.7, 0.4, 0.2, 0.1)  # between what is wanted and the bound: few are tried sooner


@dataclass(frozen=True, eq=False)
class Found:
    """Patterns: the number of each model's stage, -1 for none, [n, models]; their loads and worths [n].

    `complete` says that there are no others. Loads are exact then.
    """

    stages: Ints
    load: Ints
    worth: Ints
    complete: bool

    def __len__(self) -> int:
        return len(self.load)


class Exact:
    """The patterns of one kind. `steps[m]` are the stages of model m there, `weights[m]` their runs per period."""

    def __init__(self, steps: Sequence[Steps], weights: Sequence[int], capacity: int) -> None:
        self.steps, self.weights, self.capacity = steps, weights, capacity
        self.scratch = np.unique(np.concatenate([own.scratch for own in steps]))
        parts = np.array_split(self.scratch, max(1, min(_CLASSES, len(self.scratch))))
        self.tops = [int(part[-1]) for part in parts if len(part)]

    @cached_property
    def entries(self) -> list[tuple[Ints, Narrow, Narrow, Ints]]:
        """The steps of each model by the levels of rooms; times are weighted."""
        rows = self.tables[2]
        return [
            entries(rows[m, : len(own.rows)], self.capacity, _ROOM_BITS, own.most_ns * weight)
            for m, (own, weight) in enumerate(zip(self.steps, self.weights, strict=True))
        ]

    @cached_property
    def tables(self) -> tuple[Ints, Narrow, Ints]:
        """Of all stages: least times, first steps, steps, as `place` takes them; times are weighted."""
        most = max(len(own.scratch) for own in self.steps)
        rows = [own.rows for own in self.steps]
        leasts = np.zeros((len(self.steps), most), dtype=np.int64)
        firsts = np.zeros((len(self.steps), most, self.steps[0].first.shape[1]), dtype=np.int32)
        steps = np.full((len(self.steps), max(map(len, rows)), 4), -1, dtype=np.int64)
        for m, (own, weight) in enumerate(zip(self.steps, self.weights, strict=True)):
            leasts[m, : len(own.scratch)] = own.least_ns * weight
            firsts[m, : len(own.scratch)] = own.first
            steps[m, : len(rows[m])] = rows[m]
            steps[m, :, 1] = np.minimum(steps[m, :, 1], 2 * MOST_PERIOD_NS // weight) * weight
        return leasts, firsts, steps

    @property
    def wide_bits(self) -> int:
        """Of the levels of rooms of `least`, in bytes."""
        return max(0, self.capacity.bit_length() - _WIDE_BITS)

    @cached_property
    def least(self) -> Ints:
        """The least bytes and the least time [models, stages, levels, 2] that stages take in the rooms of a level."""
        leasts, _, steps = self.tables
        found = [
            least_by_room(own[: len(each.rows)], self.capacity, self.wide_bits, leasts.shape[1])
            for own, each in zip(steps, self.steps, strict=True)
        ]
        return np.stack(found)

    @cached_property
    def holders(self) -> list[tuple[int, int]]:
        """The amounts of scratch memory that a TPU may need, and for each the models that have such a stage."""
        return [(top, m) for m, own in enumerate(self.steps) for top in np.unique(own.scratch).tolist()]

    def held(self, stages: Sequence[int]) -> frozenset[Held]:
        """Return the stages of a pattern by their states."""
        pairs = [own.pairs for own in self.steps]
        return frozenset((m, int(pairs[m][0][i]), int(pairs[m][1][i])) for m, i in enumerate(stages) if i >= 0)

    def loads(self, stages: Ints, most: int = IMPOSSIBLE - 1) -> Ints:
        """Return the least load [n] of patterns [n, models] in any order of their residents, or one above `most`."""
        needs = [np.append(steps.scratch, 0)[own] for own, steps in zip(stages.T, self.steps, strict=True)]
        room = np.maximum(0, self.capacity - np.maximum.reduce(needs))
        _, firsts, steps = self.tables
        orders = np.array(list(permutations(range(len(self.steps)))), dtype=np.int64)
        found: Ints = least_loads(stages, room, firsts, steps, LEVEL_BITS, orders, most)
        return found

    def search(self, potentials: Sequence[Ints], period: int, allowed: Sequence[Bools]) -> Search:
        """Return the search under potentials; `allowed` [stages] of each model are those that may be used."""
        return Search(self, potentials, period, allowed)


class Search:
    """One kind, one period, one set of potentials, and the stages that are allowed."""

    def __init__(self, exact: Exact, potentials: Sequence[Ints], period: int, allowed: Sequence[Bools]) -> None:
        self.exact, self.period, self._allowed = exact, period, allowed
        self._models = len(exact.steps)
        self.gain = [
            own[steps.pairs[1]] - own[steps.pairs[0]] for own, steps in zip(potentials, exact.steps, strict=True)
        ]
        self.gains = np.zeros((self._models, max(map(len, self.gain))), dtype=np.int64)
        for m, own in enumerate(self.gain):
            self.gains[m, : len(own)] = own
        orders = (np.argsort(-gain, kind="stable") for gain in self.gain)
        self._order = [order[own[order]] for order, own in zip(orders, allowed, strict=True)]
        self._classes = [_Rooms(self, top) for top in exact.tops]
        roots = (self._root(scratch, holder) for scratch, holder in exact.holders)
        self._roots = sorted((root for root in roots if root is not None), key=lambda root: -root.hope)

    @cached_property
    def most(self) -> int:
        """What no pattern is worth more than."""
        found = 0
        for root in self._roots:
            if root.hope <= found:
                break
            found = max(found, root.most)
        return found

    def some(self, least: int, most_parts: int, enough: int) -> Found:
        """Return some of the patterns that are worth at least so much; it is `complete` only if there are none.

        Where none is found for so many parts, the dearest are looked for.
        """
        span = max(0, self.most - least)
        for part in _PARTS_OF_SPAN:
            found = self.patterns(least + int(span * part), most_parts, enough)
            if len(found) or (found.complete and not part):
                break
        return replace(found, complete=found.complete and not part and not len(found))

    def patterns(self, least: int, most_parts: int, enough: int = _ENOUGH) -> Found:
        """Return the patterns that are worth at least so much, each once.

        They are some of them if `enough` were found, or if residents were placed `most_parts` times.
        """
        left, room = most_parts, enough
        parts: list[tuple[Ints, Ints, Ints]] = []
        for root in self._roots:
            if root.hope < least or left < 0 or room <= 0:
                break
            if root.most < least:
                continue
            check()
            stages, load, worth, left = root.patterns(least, left, room)
            parts.append((stages, load, worth))
            room -= len(load)
        return self._once(parts, complete=left >= 0 and room > 0)

    def _root(self, scratch: int, holder: int) -> _Root | None:
        """Return what may live on a TPU that needs some scratch memory, `holder` being the first model that does."""
        chosen = []
        for m, (order, own) in enumerate(zip(self._order, self.exact.steps, strict=True)):
            needs = own.scratch[order]
            keep = needs == scratch if m == holder else needs < scratch if m < holder else needs <= scratch
            chosen.append(order[keep])
        if not len(chosen[holder]):
            return None
        rooms = next(each for each in self._classes if each.top >= scratch)
        return _Root(self, scratch, holder, chosen, rooms)

    def _once(self, parts: list[tuple[Ints, Ints, Ints]], *, complete: bool) -> Found:
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return Found(np.zeros((0, self._models), dtype=np.int64), none, none, complete)
        stages, load, worth = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((load, *stages.T))
        stages, load, worth = stages[order], load[order], worth[order]
        first = np.ones(len(load), dtype=bool)
        first[1:] = (stages[1:] != stages[:-1]).any(axis=1)
        return Found(stages[first], load[first], worth[first], complete)

    def corners_of(self, model: int, allowed: Bools) -> Corners:
        """Return what some stages of a model take and leave in each room, under the potentials."""
        by_time = _TIMES / max(1, self.period)
        allowed = allowed & self._allowed[model]
        found: Corners = corners(*self.exact.entries[model], self.gains[model], allowed, by_time, _TIMES)
        return found


class _Rooms:
    """J of all sets of models but of all together, of stages of at most some scratch memory."""

    def __init__(self, search: Search, top: int) -> None:
        self.top = top
        steps, capacity = search.exact.steps, search.exact.capacity
        self.corners = [search.corners_of(m, own.scratch <= top) for m, own in enumerate(steps)]
        self.most = np.zeros((1 << len(steps), (capacity >> _ROOM_BITS) + 1, _TIMES + 1), dtype=np.int32)
        for bits in range(1, len(self.most) - 1):
            for m, own in enumerate(self.corners):
                if bits >> m & 1:
                    rest = self.most[bits & ~(1 << m)]
                    np.maximum(self.most[bits], rest, out=self.most[bits])
                    extend(self.most[bits], rest, *own)


class _Root:
    """TPUs that need some scratch memory, `holder` being the first model that does.

    `stages` are those of each model that may live there, by falling worth. None of their patterns is worth more than
    `most`, nor than `hope`, which is known sooner.
    """

    def __init__(self, search: Search, scratch: int, holder: int, stages: list[Ints], rooms: _Rooms) -> None:
        self.scratch, self.holder, self.stages = scratch, holder, stages
        self._search, self._rooms = search, rooms
        self._room = max(0, search.exact.capacity - scratch)
        everyone, level = len(rooms.most) - 1, self._room >> _ROOM_BITS
        firsts = (self._most_of_first(rooms.most, m, own) for m, own in enumerate(rooms.corners))
        dearest = int(search.gains[holder, stages[holder]].max())
        rest = int(rooms.most[everyone & ~(1 << holder), : level + 1, -1].max())
        self.hope = min(max(firsts), dearest + rest)

    @cached_property
    def _own(self) -> Corners:
        """The corners of the holder's stages."""
        allowed = np.zeros(len(self._search.exact.steps[self.holder].scratch), dtype=bool)
        allowed[self.stages[self.holder]] = True
        return self._search.corners_of(self.holder, allowed)

    def _most_of_first(self, most: Narrow, m: int, own: Corners) -> int:
        rest = (len(most) - 1) & ~(1 << m)
        return int(first(self._room >> _ROOM_BITS, most[rest], *own))

    @cached_property
    def most(self) -> int:
        """What no pattern is worth more than."""
        own = [self._own if m == self.holder else each for m, each in enumerate(self._rooms.corners)]
        return max(self._most_of_first(self._table, m, each) for m, each in enumerate(own))

    @cached_property
    def _table(self) -> Narrow:
        """J of all sets of models; the holder has to be in it where it is one of them."""
        table, holder = self._rooms.most.copy(), 1 << self.holder
        for bits in range(1, len(table) - 1):
            if bits & holder:
                table[bits] = NONE
                extend(table[bits], table[bits & ~holder], *self._own)
                for m, own in enumerate(self._rooms.corners):
                    if m != self.holder and bits >> m & 1:
                        rest = table[bits & ~(1 << m)]
                        np.maximum(table[bits], rest, out=table[bits])
                        extend(table[bits], rest, *own)
        return table

    def patterns(self, least: int, most_parts: int, enough: int) -> tuple[Ints, Ints, Ints, int]:
        """Return `enough` lists of residents that are worth so much, loads and worths; how many may yet be placed."""
        search, exact = self._search, self._search.exact
        offered, offsets = np.concatenate(self.stages), np.cumsum([0, *map(len, self.stages)])
        in_blocks, starts = blocks(offered, offsets, exact.least)
        found = (
            np.empty((enough, len(self.stages)), dtype=np.int64),
            np.empty(enough, dtype=np.int64),
            np.empty(enough, dtype=np.int64),
        )
        count, left = place(
            offered,
            offsets,
            in_blocks,
            starts,
            exact.wide_bits,
            search.gains,
            *exact.tables,
            LEVEL_BITS,
            self._table,
            np.maximum.accumulate(self._table, axis=1),
            _ROOM_BITS,
            self.holder,
            self._room,
            search.period,
            least,
            most_parts,
            *found,
        )
        stages, load, worth = (own[:count].copy() for own in found)
        return stages, load, worth, left
