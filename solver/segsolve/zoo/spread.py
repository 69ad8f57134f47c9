"""How the values of a tensor spread, and the int8 range that covers them.

Random weights are only useful when the activations stay lively: neither all saturated nor all equal. Real networks
owe that to batch normalisation, so the zoo imitates it: every tensor carries the mean and standard deviation that its
values have when the network sees random images, and each convolution is scaled and shifted to undo those of its input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

REACH = 4.0  # standard deviations on either side of the mean that int8 covers
LEVELS = 255  # steps between the smallest and the largest int8


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of a tensor's values, and the bounds that they cannot leave."""

    mean: float
    std: float
    floor: float = -math.inf
    ceiling: float = math.inf

    def activated(self, activation: str) -> Spread:
        """Return the spread behind an activation function (``NONE``, ``RELU`` or ``RELU6``), for normal values."""
        if activation == "NONE":
            return self
        z = self.mean / self.std
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        positive = (1 + math.erf(z / math.sqrt(2))) / 2
        mean = self.mean * positive + self.std * density
        square = (self.mean**2 + self.std**2) * positive + self.mean * self.std * density
        std = math.sqrt(max(square - mean * mean, 1e-12))
        return Spread(mean, std, 0.0, 6.0 if activation == "RELU6" else math.inf)

    def plus(self, other: Spread) -> Spread:
        """Return the spread of a sum of independent tensors."""
        return Spread(self.mean + other.mean, math.hypot(self.std, other.std))

    def averaged(self, count: int) -> Spread:
        """Return the spread of means over ``count`` neighbours: wider than of independent values, as they are alike."""
        return Spread(self.mean, self.std * count ** (-1 / 6), self.floor, self.ceiling)

    def maximum(self, count: int) -> Spread:
        """Return the spread of maxima over ``count`` neighbours (fit to the maxima of rectified normal values)."""
        return Spread(self.mean + 0.84 * math.log(count) * self.std, self.std, self.floor, self.ceiling)

    def joined(self, other: Spread, share: float) -> Spread:
        """Return the spread of a mixture in which ``other`` has the given share of the values."""
        mean = (1 - share) * self.mean + share * other.mean
        square = (1 - share) * (self.mean**2 + self.std**2) + share * (other.mean**2 + other.std**2)
        bounds = min(self.floor, other.floor), max(self.ceiling, other.ceiling)
        return Spread(mean, math.sqrt(max(square - mean * mean, 1e-12)), *bounds)


class Range:
    """Real numbers that the int8 values of a tensor stand for; tied tensors share one range."""

    __slots__ = ("_high", "_low", "_tied_to")

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = min(low, 0.0), max(high, 0.0)  # zero needs an exact code: padding writes it
        self._tied_to: Range | None = None

    @classmethod
    def covering(cls, spread: Spread) -> Range:
        """Return the range that covers nearly all values of a spread."""
        low = max(spread.mean - REACH * spread.std, spread.floor)
        return cls(low, min(spread.mean + REACH * spread.std, spread.ceiling))

    def tie(self, other: Range) -> None:
        """Make both ranges one, wide enough for both."""
        mine, theirs = self._root(), other._root()
        if mine is not theirs:
            mine._low, mine._high = min(mine._low, theirs._low), max(mine._high, theirs._high)
            theirs._tied_to = mine

    @property
    def scale(self) -> float:
        """Step between neighbouring int8 values."""
        root = self._root()
        return (root._high - root._low) / LEVELS

    @property
    def zero_point(self) -> int:
        """The int8 value that stands for zero."""
        return max(-128, min(127, round(-128 - self._root()._low / self.scale)))

    def _root(self) -> Range:
        node = self
        while node._tied_to is not None:
            node = node._tied_to
        return node
