"""Inception-v3: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (CVPR 2016), table 1.

The branches of a cell are drawn in the order in which the TFLite converter lists those of the Keras model: average
pooling first, maximum pooling last.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.inception import Cells
from segsolve.zoo.steps import Value

FIVES = ((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))  # figure 5
FIRST_REDUCTION = ((384, 3),), ((64, 1), (96, 3), (96, 3))  # figure 10
SECOND_REDUCTION = ((192, 1), (320, 3)), ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3))


def inception_v3(net: Builder) -> Value:
    """Draw Inception-v3."""
    cells = Cells(net, norm=3)
    x = cells.stem(net.input(299, 299, 3))
    for index, pooled in enumerate((32, 64, 64)):
        name = f"mixed{index}"
        pool = cells.average(name, x, pooled)
        x = net.concat(name, [*cells.branches(name, x, FIVES), pool])
    x = cells.reduction("mixed3", x, FIRST_REDUCTION)
    for index, filters in enumerate((128, 160, 160, 192), start=4):
        x = _sevens(cells, f"mixed{index}", x, filters)
    x = cells.reduction("mixed8", x, SECOND_REDUCTION)
    for index in (9, 10):
        x = _fans(cells, f"mixed{index}", x)
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _sevens(cells: Cells, name: str, x: Value, filters: int) -> Value:
    """Figure 6, with n = 7."""
    narrow, wide, tall = (filters, 1), (filters, (1, 7)), (filters, (7, 1))
    table = ((192, 1),), (narrow, wide, (192, (7, 1))), (narrow, tall, wide, tall, (192, (1, 7)))
    pool = cells.average(name, x, 192)
    return cells.net.concat(name, [*cells.branches(name, x, table), pool])


def _fans(cells: Cells, name: str, x: Value) -> Value:
    """Figure 7."""
    pool = cells.average(name, x, 192)
    one = cells.conv(f"{name}_1x1", x, (320, 1))
    three = cells.branch(f"{name}_3x3", x, ((384, 1),))
    three = cells.fan(f"{name}_3x3_fan", three, 384, (1, 3), (3, 1))
    double = cells.branch(f"{name}_double3x3", x, ((448, 1), (384, 3)))
    double = cells.fan(f"{name}_double3x3_fan", double, 384, (1, 3), (3, 1))
    return cells.net.concat(name, (one, three, double, pool))
