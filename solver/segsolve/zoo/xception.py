"""Xception: Chollet, Xception: Deep Learning with Depthwise Separable Convolutions (CVPR 2017), figure 5.

A ReLU in front of a block stays an operation of its own: the sum before it goes to the shortcut as well.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Activation, Value


def xception(net: Builder) -> Value:
    """Draw Xception."""
    x = net.input(299, 299, 3)
    x = net.conv("block1_conv1", x, 32, 3, strides=2, padding="VALID", activation="RELU", bias=False, norm=4)
    x = net.conv("block1_conv2", x, 64, 3, padding="VALID", activation="RELU", bias=False, norm=4)
    x = _reduction(net, "block2", x, 128, 128, rectify=False)
    x = _reduction(net, "block3", x, 256, 256)
    x = _reduction(net, "block4", x, 728, 728)
    for index in range(5, 13):
        x = _middle(net, f"block{index}", x)
    x = _reduction(net, "block13", x, 728, 1024)
    x = _separable(net, "block14_sepconv1", x, 1536, "RELU")
    x = _separable(net, "block14_sepconv2", x, 2048, "RELU")
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _separable(net: Builder, name: str, x: Value, filters: int, activation: Activation = "NONE") -> Value:
    x = net.depthwise(f"{name}_depthwise", x, 3, bias=False)
    return net.conv(name, x, filters, 1, activation=activation, bias=False, norm=4)


def _reduction(net: Builder, name: str, x: Value, inner: int, outer: int, *, rectify: bool = True) -> Value:
    y = net.relu(f"{name}_sepconv1_act", x) if rectify else x
    y = _separable(net, f"{name}_sepconv1", y, inner, "RELU")
    y = _separable(net, f"{name}_sepconv2", y, outer)
    y = net.max_pool(f"{name}_pool", y, 3, strides=2, padding="SAME")
    shortcut = net.conv(f"{name}_shortcut", x, outer, 1, strides=2, bias=False, norm=4)
    return net.add(f"{name}_add", y, shortcut)


def _middle(net: Builder, name: str, x: Value) -> Value:
    y = net.relu(f"{name}_sepconv1_act", x)
    y = _separable(net, f"{name}_sepconv1", y, 728, "RELU")
    y = _separable(net, f"{name}_sepconv2", y, 728, "RELU")
    y = _separable(net, f"{name}_sepconv3", y, 728)
    return net.add(f"{name}_add", y, x)
