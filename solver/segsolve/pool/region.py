"""Parts of what plans there are, by where they cut models: regions, and how one is split into two.

In a region some stages of a model are not allowed. A model either is cut at one of the states from `first` to `last`,
so that none of its stages goes from before these to after them, or at none of them, so that no stage begins or ends
there. Every plan is in one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsolve.pool.patterns import Held
from segsolve.pool.rooms import Bools


@dataclass(frozen=True, slots=True)
class Split:
    """Plans that cut a model at one of the states from `first` to `last`, and those that do not."""

    model: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Region:
    """The stages [states, states] of each model that plans of the region may have."""

    allowed: tuple[Bools, ...]

    def halves(self, split: Split) -> tuple[Region, Region]:
        """Return the region of plans that cut the model there, and that of those that do not."""
        own = self.allowed[split.model]
        begin, end = np.arange(len(own))[:, None], np.arange(len(own))[None, :]
        spans = (begin < split.first) & (end > split.last)
        touches = (begin >= split.first) & (begin <= split.last) | (end >= split.first) & (end <= split.last)
        cut, whole = list(self.allowed), list(self.allowed)
        cut[split.model], whole[split.model] = own & ~spans, own & ~touches
        return Region(tuple(cut)), Region(tuple(whole))

    def has(self, stages: frozenset[Held]) -> bool:
        """Whether all of some stages are allowed."""
        return all(self.allowed[m][a, b] for m, a, b in stages)


def everything(sizes: Sequence[int]) -> Region:
    """Return the region of all plans; `sizes` are the numbers of states of the models."""
    return Region(tuple(np.triu(np.ones((n, n), dtype=np.bool_), 1) for n in sizes))


def best_split(stages: Sequence[frozenset[Held]], amounts: Sequence[float], sizes: Sequence[int]) -> Split | None:
    """Return the split that takes most from both halves of a mix: patterns, and how much there is of each.

    None if there is none that takes something from both.
    """
    best, found = 0.0, None
    for m, size in enumerate(sizes):
        mix = np.zeros((size, size))
        for own, amount in zip(stages, amounts, strict=True):
            for model, a, b in own:
                if model == m:
                    mix[a, b] += amount
        first, last = np.nonzero(mix)
        there = mix[first, last]
        cuts = np.setdiff1d(np.union1d(first, last), (0, size - 1))
        for i, low in enumerate(cuts):
            high = cuts[i:, None]
            spans = ((first < low) & (last > high)) @ there
            inside = ((first >= low) & (first <= high)) | ((last >= low) & (last <= high))
            least = np.minimum(spans, inside @ there / 2)
            if least.max(initial=0.0) > best + 1e-6:
                best, found = float(least.max()), Split(m, int(low), int(cuts[i + int(least.argmax())]))
    return found
