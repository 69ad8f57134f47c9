"""Inception-v4: Szegedy et al., Inception-v4, Inception-ResNet and ... Residual Connections (AAAI 2017).

Keras Applications lacks it. The names of the cells, the order of their branches and the global mean, which is a
pooling, are those of the authors' TF-Slim model.
"""

from __future__ import annotations

from collections.abc import Sequence

from segsolve.zoo.builder import Builder
from segsolve.zoo.inception import Branch, Cells
from segsolve.zoo.steps import Value

INCEPTION_A = ((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3))  # figure 4
INCEPTION_B = (  # figure 5
    ((384, 1),),
    ((192, 1), (224, (1, 7)), (256, (7, 1))),
    ((192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
)
REDUCTION_A = ((384, 3),), ((192, 1), (224, 3), (256, 3))  # figure 7
REDUCTION_B = ((192, 1), (192, 3)), ((256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3))  # figure 8


def inception_v4(net: Builder) -> Value:
    """Draw Inception-v4."""
    cells = Cells(net, norm=2)
    x = _stem(cells, net.input(299, 299, 3))
    for letter in "bcde":
        x = _inception(cells, f"Mixed_5{letter}", x, INCEPTION_A, 96)
    x = cells.reduction("Mixed_6a", x, REDUCTION_A)
    for letter in "bcdefgh":
        x = _inception(cells, f"Mixed_6{letter}", x, INCEPTION_B, 128)
    x = cells.reduction("Mixed_7a", x, REDUCTION_B)
    for letter in "bcd":
        x = _inception_c(cells, f"Mixed_7{letter}", x)
    x = net.flatten("PreLogitsFlatten", net.avg_pool("AvgPool_1a", x, 8))
    return net.classifier("predictions", x)


def _stem(cells: Cells, x: Value) -> Value:
    """Figure 3."""
    net = cells.net
    x = cells.conv("Conv2d_1a_3x3", x, (32, 3), strides=2, padding="VALID")
    x = cells.conv("Conv2d_2a_3x3", x, (32, 3), padding="VALID")
    x = cells.conv("Conv2d_2b_3x3", x, (64, 3))
    pool = net.max_pool("Mixed_3a_pool", x, 3, strides=2)
    x = net.concat("Mixed_3a", (pool, cells.conv("Mixed_3a_conv", x, (96, 3), strides=2, padding="VALID")))
    short = cells.conv("Mixed_4a_branch1_1", x, (64, 1))
    short = cells.conv("Mixed_4a_branch1_2", short, (96, 3), padding="VALID")
    long = cells.branch("Mixed_4a_branch2", x, ((64, 1), (64, (1, 7)), (64, (7, 1))))
    x = net.concat("Mixed_4a", (short, cells.conv("Mixed_4a_branch2_4", long, (96, 3), padding="VALID")))
    return cells.reduction("Mixed_5a", x, (((192, 3),),))


def _inception(cells: Cells, name: str, x: Value, table: Sequence[Branch], pooled: int) -> Value:
    ends = cells.branches(name, x, table)
    return cells.net.concat(name, [*ends, cells.average(name, x, pooled)])


def _inception_c(cells: Cells, name: str, x: Value) -> Value:
    """Figure 6."""
    one = cells.conv(f"{name}_1x1", x, (256, 1))
    short = cells.branch(f"{name}_short", x, ((384, 1),))
    short = cells.fan(f"{name}_short_fan", short, 256, (1, 3), (3, 1))
    long = cells.branch(f"{name}_long", x, ((384, 1), (448, (3, 1)), (512, (1, 3))))
    long = cells.fan(f"{name}_long_fan", long, 256, (1, 3), (3, 1))
    return cells.net.concat(name, (one, short, long, cells.average(name, x, 256)))
