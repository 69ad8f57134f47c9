"""Inception-ResNet-v2: Szegedy et al., Inception-v4, Inception-ResNet and ... Residual Connections (AAAI 2017).

Drawn as in Keras Applications. The factor that scales a residual is part of the weights of the convolution before it,
where the TFLite converter puts it.
"""

from __future__ import annotations

from collections.abc import Sequence

from segsolve.zoo.builder import Builder
from segsolve.zoo.inception import Branch, Cells
from segsolve.zoo.steps import Value

MIXED_5B = ((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))
BLOCK35 = ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))
MIXED_6A = ((384, 3),), ((256, 1), (256, 3), (384, 3))
BLOCK17 = ((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))
MIXED_7A = ((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3))
BLOCK8 = ((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))


def inception_resnet_v2(net: Builder) -> Value:
    """Draw Inception-ResNet-v2."""
    cells = Cells(net, norm=3)
    x = up_to_blocks17(cells, net.input(299, 299, 3))
    x = cells.reduction("mixed_7a", x, MIXED_7A)
    for block in range(1, 10):
        x = _residual(cells, f"block8_{block}", x, BLOCK8, 0.2)
    x = _residual(cells, "block8_10", x, BLOCK8, 1.0, rectify=False)
    x = cells.conv("conv_7b", x, (1536, 1))
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def up_to_blocks17(cells: Cells, image: Value) -> Value:
    """Draw the stem, the blocks on maps of 35 x 35 and those on maps of 17 x 17."""
    x = cells.stem(image)
    pool = cells.average("mixed_5b", x, 64)
    x = cells.net.concat("mixed_5b", [*cells.branches("mixed_5b", x, MIXED_5B), pool])
    for block in range(1, 11):
        x = _residual(cells, f"block35_{block}", x, BLOCK35, 0.17)
    x = cells.reduction("mixed_6a", x, MIXED_6A)
    for block in range(1, 21):
        x = _residual(cells, f"block17_{block}", x, BLOCK17, 0.1)
    return x


def _residual(
    cells: Cells, name: str, x: Value, table: Sequence[Branch], scale: float, *, rectify: bool = True
) -> Value:
    mixed = cells.net.concat(f"{name}_mixed", cells.branches(name, x, table))
    residual = cells.net.conv(f"{name}_conv", mixed, x.shape[3], 1, std=scale)
    return cells.net.add(f"{name}_ac", x, residual, activation="RELU" if rectify else "NONE")
