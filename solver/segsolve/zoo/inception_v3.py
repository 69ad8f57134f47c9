"""Inception-v3: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (CVPR 2016), table 1.

The branches of a cell are drawn in the order in which the TFLite converter lists those of the Keras model: average
pooling first, maximum pooling last.
"""

from __future__ import annotations

from segsolve.zoo.builder import Builder, Pair
from segsolve.zoo.steps import Padding, Value


def inception_v3(net: Builder) -> Value:
    """Draw Inception-v3."""
    x = _conv(net, "conv1", net.input(299, 299, 3), 32, 3, strides=2, padding="VALID")
    x = _conv(net, "conv2", x, 32, 3, padding="VALID")
    x = _conv(net, "conv3", x, 64, 3)
    x = net.max_pool("pool1", x, 3, strides=2)
    x = _conv(net, "conv4", x, 80, 1, padding="VALID")
    x = _conv(net, "conv5", x, 192, 3, padding="VALID")
    x = net.max_pool("pool2", x, 3, strides=2)
    for index, pooled in enumerate((32, 64, 64)):
        x = _fives(net, f"mixed{index}", x, pooled)
    x = _first_reduction(net, "mixed3", x)
    for index, filters in enumerate((128, 160, 160, 192), start=4):
        x = _sevens(net, f"mixed{index}", x, filters)
    x = _second_reduction(net, "mixed8", x)
    for index in (9, 10):
        x = _fans(net, f"mixed{index}", x)
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def _conv(
    net: Builder,
    name: str,
    x: Value,
    filters: int,
    kernel: Pair,
    *,
    strides: int = 1,
    padding: Padding = "SAME",
) -> Value:
    return net.conv(name, x, filters, kernel, strides=strides, padding=padding, activation="RELU", bias=False, norm=3)


def _pooled(net: Builder, name: str, x: Value, filters: int) -> Value:
    return _conv(net, f"{name}_pool_1x1", net.avg_pool(f"{name}_pool", x, 3, strides=1, padding="SAME"), filters, 1)


def _fives(net: Builder, name: str, x: Value, pooled: int) -> Value:
    """Figure 5."""
    pool = _pooled(net, name, x, pooled)
    one = _conv(net, f"{name}_1x1", x, 64, 1)
    five = _conv(net, f"{name}_5x5_1", x, 48, 1)
    five = _conv(net, f"{name}_5x5_2", five, 64, 5)
    double = _conv(net, f"{name}_double3x3_1", x, 64, 1)
    double = _conv(net, f"{name}_double3x3_2", double, 96, 3)
    double = _conv(net, f"{name}_double3x3_3", double, 96, 3)
    return net.concat(name, (one, five, double, pool))


def _first_reduction(net: Builder, name: str, x: Value) -> Value:
    """Figure 10."""
    three = _conv(net, f"{name}_3x3", x, 384, 3, strides=2, padding="VALID")
    double = _conv(net, f"{name}_double3x3_1", x, 64, 1)
    double = _conv(net, f"{name}_double3x3_2", double, 96, 3)
    double = _conv(net, f"{name}_double3x3_3", double, 96, 3, strides=2, padding="VALID")
    return net.concat(name, (three, double, net.max_pool(f"{name}_pool", x, 3, strides=2)))


def _sevens(net: Builder, name: str, x: Value, filters: int) -> Value:
    """Figure 6, with n = 7."""
    pool = _pooled(net, name, x, 192)
    one = _conv(net, f"{name}_1x1", x, 192, 1)
    seven = _conv(net, f"{name}_7x7_1", x, filters, 1)
    seven = _conv(net, f"{name}_7x7_2", seven, filters, (1, 7))
    seven = _conv(net, f"{name}_7x7_3", seven, 192, (7, 1))
    double = _conv(net, f"{name}_double7x7_1", x, filters, 1)
    for index, kernel in enumerate(((7, 1), (1, 7), (7, 1)), start=2):
        double = _conv(net, f"{name}_double7x7_{index}", double, filters, kernel)
    double = _conv(net, f"{name}_double7x7_5", double, 192, (1, 7))
    return net.concat(name, (one, seven, double, pool))


def _second_reduction(net: Builder, name: str, x: Value) -> Value:
    """Figure 10 again, with a 7x7 branch."""
    three = _conv(net, f"{name}_3x3_1", x, 192, 1)
    three = _conv(net, f"{name}_3x3_2", three, 320, 3, strides=2, padding="VALID")
    seven = _conv(net, f"{name}_7x7_1", x, 192, 1)
    seven = _conv(net, f"{name}_7x7_2", seven, 192, (1, 7))
    seven = _conv(net, f"{name}_7x7_3", seven, 192, (7, 1))
    seven = _conv(net, f"{name}_7x7_4", seven, 192, 3, strides=2, padding="VALID")
    return net.concat(name, (three, seven, net.max_pool(f"{name}_pool", x, 3, strides=2)))


def _fans(net: Builder, name: str, x: Value) -> Value:
    """Figure 7."""
    pool = _pooled(net, name, x, 192)
    one = _conv(net, f"{name}_1x1", x, 320, 1)
    three = _conv(net, f"{name}_3x3_1", x, 384, 1)
    three = _fan(net, f"{name}_3x3", three)
    double = _conv(net, f"{name}_double3x3_1", x, 448, 1)
    double = _conv(net, f"{name}_double3x3_2", double, 384, 3)
    double = _fan(net, f"{name}_double3x3", double)
    return net.concat(name, (one, three, double, pool))


def _fan(net: Builder, name: str, x: Value) -> Value:
    wide = _conv(net, f"{name}_1x3", x, 384, (1, 3))
    return net.concat(name, (wide, _conv(net, f"{name}_3x1", x, 384, (3, 1))))
