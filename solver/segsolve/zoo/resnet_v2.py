"""ResNet-50V2, -101V2 and -152V2: He et al., Identity Mappings in Deep Residual Networks (ECCV 2016).

As in Keras Applications, the stride is in the last block of a stage. The normalisations in front of a block stay a
product and a sum, and the converter turns a padding of one pixel into SAME where the strides are 1.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Padding, Value


def resnet_v2(net: Builder, depths: tuple[int, int, int, int]) -> Value:
    """Draw a ResNet V2 with the given number of bottleneck blocks in its four stages."""
    x = net.pad("conv1_pad", net.input(224, 224, 3), 3, 3)
    x = net.conv("conv1_conv", x, 64, 7, strides=2, padding="VALID")
    x = net.pad("pool1_pad", x, 1, 1)
    x = net.max_pool("pool1_pool", x, 3, strides=2)
    for stage, (filters, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), start=2):
        for block in range(1, depth + 1):
            strides = 2 if block == depth and stage < 5 else 1
            x = _bottleneck(net, f"conv{stage}_block{block}", x, filters, strides=strides, project=block == 1)
    x = net.batch_norm("post_relu", x, activation="RELU")
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _bottleneck(net: Builder, name: str, x: Value, filters: int, *, strides: int, project: bool) -> Value:
    shortcut = x
    y = net.batch_norm(f"{name}_preact", x, activation="RELU")
    if project:
        shortcut = net.conv(f"{name}_0_conv", y, 4 * filters, 1, padding="VALID")
    y = net.conv(f"{name}_1_conv", y, filters, 1, padding="VALID", activation="RELU", bias=False, norm=4)
    padding: Padding = "SAME"
    if strides > 1:
        y, padding = net.pad(f"{name}_2_pad", y, 1, 1), "VALID"
    y = net.conv(
        f"{name}_2_conv", y, filters, 3, strides=strides, padding=padding, activation="RELU", bias=False, norm=4
    )
    y = net.conv(f"{name}_3_conv", y, 4 * filters, 1, padding="VALID")
    if strides > 1:
        shortcut = net.max_pool(f"{name}_pool", x, 1, strides=strides)
    return net.add(f"{name}_out", shortcut, y)
