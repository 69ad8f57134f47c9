"""VGG-16 and VGG-19: Simonyan and Zisserman, Very Deep Convolutional Networks (ICLR 2015), table 1, columns D and E."""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value


def vgg(net: Builder, depths: tuple[int, int, int, int, int]) -> Value:
    """Draw a VGG network with the given number of convolutions in its five blocks."""
    x = net.input(224, 224, 3)
    for block, (filters, depth) in enumerate(zip((64, 128, 256, 512, 512), depths, strict=True), start=1):
        for layer in range(1, depth + 1):
            x = net.conv(f"block{block}_conv{layer}", x, filters, 3, activation="RELU")
        x = net.max_pool(f"block{block}_pool", x, 2)
    x = net.dense("fc1", net.flatten("flatten", x), 4096, activation="RELU")
    x = net.dense("fc2", x, 4096, activation="RELU")
    return net.classifier("predictions", x)
