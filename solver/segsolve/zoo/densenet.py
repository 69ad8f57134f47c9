"""DenseNet-121, -169 and -201: Huang et al., Densely Connected Convolutional Networks (CVPR 2017), table 1.

The normalisation behind a concatenation follows no convolution that could absorb it: it stays a product and a sum.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

GROWTH = 32  # channels that each layer adds


def densenet(net: Builder, depths: tuple[int, int, int, int]) -> Value:
    """Draw a DenseNet with the given number of layers in its four dense blocks."""
    x = net.pad("conv1_pad", net.input(224, 224, 3), 3, 3)
    x = net.conv("conv1_conv", x, 64, 7, strides=2, padding="VALID", activation="RELU", bias=False, norm=4)
    x = net.pad("pool1_pad", x, 1, 1)
    x = net.max_pool("pool1", x, 3, strides=2)
    for block, depth in enumerate(depths, start=2):
        for layer in range(1, depth + 1):
            x = _dense_layer(net, f"conv{block}_block{layer}", x)
        if block < 5:
            x = _transition(net, f"pool{block}", x)
    x = net.batch_norm("relu", x, activation="RELU")
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _dense_layer(net: Builder, name: str, x: Value) -> Value:
    y = net.batch_norm(f"{name}_0_relu", x, activation="RELU")
    y = net.conv(f"{name}_1_conv", y, 4 * GROWTH, 1, padding="VALID", activation="RELU", bias=False, norm=4)
    y = net.conv(f"{name}_2_conv", y, GROWTH, 3, bias=False)
    return net.concat(f"{name}_concat", (x, y))


def _transition(net: Builder, name: str, x: Value) -> Value:
    x = net.batch_norm(f"{name}_relu", x, activation="RELU")
    x = net.conv(f"{name}_conv", x, x.shape[3] // 2, 1, padding="VALID", bias=False)
    return net.avg_pool(f"{name}_pool", x, 2)
