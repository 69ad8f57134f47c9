"""ResNet-50, -101 and -152: He et al., Deep Residual Learning for Image Recognition (CVPR 2016), table 1.

As in Keras Applications, the stride is in the first 1x1 convolution of a stage and every convolution has a bias of its
own besides the batch normalisation.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value


def resnet(net: Builder, depths: tuple[int, int, int, int]) -> Value:
    """Draw a ResNet with the given number of bottleneck blocks in its four stages."""
    x = net.pad("conv1_pad", net.input(224, 224, 3), 3, 3)
    x = net.conv("conv1_conv", x, 64, 7, strides=2, padding="VALID", activation="RELU", norm=4)
    x = net.pad("pool1_pad", x, 1, 1)
    x = net.max_pool("pool1_pool", x, 3, strides=2)
    for stage, (filters, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), start=2):
        for block in range(1, depth + 1):
            first = block == 1
            strides = 2 if first and stage > 2 else 1
            x = _bottleneck(net, f"conv{stage}_block{block}", x, filters, strides, project=first)
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _bottleneck(net: Builder, name: str, x: Value, filters: int, strides: int, *, project: bool) -> Value:
    shortcut = x
    if project:
        shortcut = net.conv(f"{name}_0_conv", x, 4 * filters, 1, strides=strides, padding="VALID", norm=4)
    y = net.conv(f"{name}_1_conv", x, filters, 1, strides=strides, padding="VALID", activation="RELU", norm=4)
    y = net.conv(f"{name}_2_conv", y, filters, 3, activation="RELU", norm=4)
    y = net.conv(f"{name}_3_conv", y, 4 * filters, 1, padding="VALID", norm=4)
    return net.add(f"{name}_out", shortcut, y, activation="RELU")
