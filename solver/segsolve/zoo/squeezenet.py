"""SqueezeNet 1.0 (Iandola et al., 2016, table 1) and 1.1 (the authors' lighter revision)."""

from __future__ import annotations

from segsolve.zoo.builder import LOGIT_STD, Builder
from segsolve.zoo.steps import Value

SQUEEZED = (16, 16, 32, 32, 48, 48, 64, 64)  # of the modules fire2 to fire9; each expands to four times as many, twice


def squeezenet_1_0(net: Builder) -> Value:
    """Draw SqueezeNet 1.0."""
    x = net.conv("conv1", net.input(224, 224, 3), 96, 7, strides=2, padding="VALID", activation="RELU")
    x = net.max_pool("maxpool1", x, 3, strides=2)
    x = _fires(net, x, 2, 4)
    x = net.max_pool("maxpool4", x, 3, strides=2, padding="SAME")  # the original rounds up: 54 to 27
    x = _fires(net, x, 5, 8)
    x = net.max_pool("maxpool8", x, 3, strides=2)
    return _classifier(net, _fires(net, x, 9, 9))


def squeezenet_1_1(net: Builder) -> Value:
    """Draw SqueezeNet 1.1."""
    x = net.conv("conv1", net.input(224, 224, 3), 64, 3, strides=2, padding="VALID", activation="RELU")
    x = net.max_pool("maxpool1", x, 3, strides=2)
    x = _fires(net, x, 2, 3)
    x = net.max_pool("maxpool3", x, 3, strides=2)
    x = _fires(net, x, 4, 5)
    x = net.max_pool("maxpool5", x, 3, strides=2)
    return _classifier(net, _fires(net, x, 6, 9))


def _fires(net: Builder, x: Value, first: int, last: int) -> Value:
    for index in range(first, last + 1):
        name, squeezed = f"fire{index}", SQUEEZED[index - 2]
        x = net.conv(f"{name}_squeeze1x1", x, squeezed, 1, activation="RELU")
        small = net.conv(f"{name}_expand1x1", x, 4 * squeezed, 1, activation="RELU")
        large = net.conv(f"{name}_expand3x3", x, 4 * squeezed, 3, activation="RELU")
        x = net.concat(f"{name}_concat", (small, large))
    return x


def _classifier(net: Builder, x: Value) -> Value:
    x = net.conv("conv10", x, 1000, 1, activation="RELU", std=LOGIT_STD)
    return net.softmax("predictions", net.global_mean("avg_pool", x))
