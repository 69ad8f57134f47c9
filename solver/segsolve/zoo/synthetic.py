"""The synthetic networks of Villarrubia et al. (arXiv:2503.01025): five layers of one kind.

Their width is swept to find out what a network costs that no longer fits into on-chip memory.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

CONV_LAYERS = 5
DENSE_UNITS = 64  # what goes in
DENSE_CLASSES = 10  # what comes out


def conv(net: Builder, filters: int) -> Value:
    """Draw five 3x3 convolutions of the same number of filters."""
    x = net.input(64, 64, 3)
    for layer in range(1, CONV_LAYERS + 1):
        x = net.conv(f"conv{layer}", x, filters, 3, activation="RELU")
    return x


def dense(net: Builder, units: int) -> Value:
    """Draw four hidden dense layers of the same number of units and a small last one."""
    x = net.input(DENSE_UNITS)
    for layer in range(1, 5):
        x = net.dense(f"dense{layer}", x, units, activation="RELU")
    return net.dense("dense5", x, DENSE_CLASSES)
