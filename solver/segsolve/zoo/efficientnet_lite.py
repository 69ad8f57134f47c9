"""EfficientNet-Lite0 to -Lite4: EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excite, with ReLU6.

Drawn as in the authors' model (github.com/tensorflow/tpu, models/official/efficientnet/lite), whose global mean is a
pooling.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

STAGES = (  # kernel, expansion, filters, repetitions, strides of the first
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def efficientnet_lite(net: Builder, size: int, width: float, depth: float) -> Value:
    """Draw an EfficientNet-Lite for images of the given size; stem, head and depth of the outer stages are fixed."""
    x = features(net, size, width, depth)[-1]
    x = net.conv("head", x, 1280, 1, activation="RELU6", bias=False, norm=2)
    x = net.flatten("squeeze", net.avg_pool("pool", x, x.shape[1]))
    return net.classifier("predictions", x)


def features(net: Builder, size: int, width: float, depth: float) -> list[Value]:
    """Draw all before the head; return the last map of each size from an eighth of the image's on."""
    x = net.input(size, size, 3)
    x = net.conv("stem", x, 32, 3, strides=2, activation="RELU6", bias=False, norm=2)
    block, maps = 0, list[Value]()
    for stage, (kernel, expansion, filters, repetitions, strides) in enumerate(STAGES, start=1):
        inner = 1 < stage < len(STAGES)
        for repetition in range(math.ceil(depth * repetitions) if inner else repetitions):
            layout = Layout(expansion, _rounded(width * filters), kernel, strides if repetition == 0 else 1)
            x = _block(net, f"blocks_{block}", x, layout)
            block += 1
        maps = [*(known for known in maps if known.shape[1] != x.shape[1]), x]
    return maps[-3:]


def _rounded(filters: float) -> int:
    """Return the nearest multiple of 8 that is not more than a tenth below."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


class Layout(NamedTuple):
    """Of one inverted residual."""

    expansion: int
    filters: int
    kernel: int
    strides: int


def _block(net: Builder, name: str, x: Value, layout: Layout) -> Value:
    expansion, filters, kernel, strides = layout
    y = x
    if expansion > 1:
        y = net.conv(f"{name}_expand", x, expansion * x.shape[3], 1, activation="RELU6", bias=False, norm=2)
    y = net.depthwise(f"{name}_depthwise", y, kernel, strides=strides, activation="RELU6", bias=False, norm=2)
    y = net.conv(f"{name}_project", y, filters, 1, bias=False, norm=2)
    return net.add(f"{name}_add", y, x) if strides == 1 and x.shape == y.shape else y
