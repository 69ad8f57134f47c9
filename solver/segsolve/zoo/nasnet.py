"""NASNet-A (4 @ 1056), the mobile one: Zoph et al., Learning Transferable Architectures (CVPR 2018), figure 4.

Drawn layer by layer as in Keras Applications, whose names decide the order in the converted file.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from segsolve.zoo.builder import Builder
from segsolve.zoo.importer import imported
from segsolve.zoo.steps import Value

FILTERS = 1056 // 24  # of the first normal cells
CELLS = 4  # normal cells between two reductions

Adjustment = Literal["none", "project", "reduce"]  # of the cell before the previous one to the size of this one


def nasnet_mobile(net: Builder) -> Value:
    """Draw NASNet-A (4 @ 1056)."""
    layers = _Layers(net)
    image = net.input(224, 224, 3)
    stem = net.conv("stem_conv1", image, 32, 3, strides=2, padding="VALID", bias=False, norm=4)
    x, p = layers.reduction("stem_1", stem, stem, FILTERS // 4, "none"), stem
    x, p = layers.reduction("stem_2", x, p, FILTERS // 2, "reduce"), x
    block, filters = 0, FILTERS
    for stage in range(3):
        if stage:
            filters *= 2
            x, p = layers.reduction(f"reduce_{block}", x, p, filters, "project"), x
            block += 1
        for index in range(CELLS):
            x, p = layers.normal(f"{block}", x, p, filters, "project" if index else "reduce"), x
            block += 1
    mean = net.global_mean("global_average_pooling2d", layers.relu(x))
    probabilities = net.classifier("predictions", mean)
    net.steps = imported(net.steps, image)
    return probabilities


class _Layers:
    """Draws cells and their parts; counts layers without a name of their own like Keras."""

    def __init__(self, net: Builder) -> None:
        self._net = net
        self._unnamed: Counter[str] = Counter()

    def normal(self, name: str, x: Value, p: Value, filters: int, adjustment: Adjustment) -> Value:
        net = self._net
        p = self._adjusted(name, p, filters, adjustment)
        h = self._pointwise(f"normal_conv_1_{name}", self.relu(x), filters)
        x1 = self._separable(f"normal_left1_{name}", h, filters, 5)
        x1 = net.add(f"normal_add_1_{name}", x1, self._separable(f"normal_right1_{name}", p, filters, 3))
        x2 = self._separable(f"normal_left2_{name}", p, filters, 5)
        x2 = net.add(f"normal_add_2_{name}", x2, self._separable(f"normal_right2_{name}", p, filters, 3))
        x3 = net.add(f"normal_add_3_{name}", self._mean(f"normal_left3_{name}", h), p)
        x4 = self._mean(f"normal_left4_{name}", p)
        x4 = net.add(f"normal_add_4_{name}", x4, self._mean(f"normal_right4_{name}", p))
        x5 = net.add(f"normal_add_5_{name}", self._separable(f"normal_left5_{name}", h, filters, 3), h)
        return net.concat(f"normal_concat_{name}", (p, x1, x2, x3, x4, x5))

    def reduction(self, name: str, x: Value, p: Value, filters: int, adjustment: Adjustment) -> Value:
        net = self._net
        p = self._adjusted(name, p, filters, adjustment)
        h = self._pointwise(f"reduction_conv_1_{name}", self.relu(x), filters)
        padded = net.pad(f"reduction_pad_1_{name}", h, h.shape[1] % 2, 1)
        x1 = self._separable(f"reduction_left1_{name}", h, filters, 5, strides=2)
        right = self._separable(f"reduction_right1_{name}", p, filters, 7, strides=2)
        x1 = net.add(f"reduction_add_1_{name}", x1, right)
        x2 = net.max_pool(f"reduction_left2_{name}", padded, 3, strides=2)
        right = self._separable(f"reduction_right2_{name}", p, filters, 7, strides=2)
        x2 = net.add(f"reduction_add_2_{name}", x2, right)
        x3 = net.avg_pool(f"reduction_left3_{name}", padded, 3, strides=2)
        right = self._separable(f"reduction_right3_{name}", p, filters, 5, strides=2)
        x3 = net.add(f"reduction_add3_{name}", x3, right)
        x4 = net.add(self._numbered("add"), x2, self._mean(f"reduction_left4_{name}", x1))
        x5 = self._separable(f"reduction_left4_{name}", x1, filters, 3)
        right = net.max_pool(f"reduction_right5_{name}", padded, 3, strides=2)
        x5 = net.add(f"reduction_add4_{name}", x5, right)
        return net.concat(f"reduction_concat_{name}", (x2, x3, x4, x5))

    def relu(self, x: Value) -> Value:
        return self._net.relu(self._numbered("activation"), x)

    def _numbered(self, layer: str) -> str:
        self._unnamed[layer] += 1
        return layer if self._unnamed[layer] == 1 else f"{layer}_{self._unnamed[layer] - 1}"

    def _adjusted(self, name: str, p: Value, filters: int, adjustment: Adjustment) -> Value:
        net = self._net
        if adjustment == "none":
            return p
        if adjustment == "project":
            return self._pointwise(f"adjust_conv_projection_{name}", self.relu(p), filters)
        p = net.relu(f"adjust_relu_1_{name}", p)
        even = net.avg_pool(f"adjust_avg_pool_1_{name}", p, 1, strides=2)
        even = net.conv(f"adjust_conv_1_{name}", even, filters // 2, 1, bias=False)
        odd = net.crop(self._numbered("cropping2d"), net.pad(self._numbered("zero_padding2d"), p, 0, 1), 1)
        odd = net.avg_pool(f"adjust_avg_pool_2_{name}", odd, 1, strides=2)
        odd = net.conv(f"adjust_conv_2_{name}", odd, filters // 2, 1, bias=False)
        return net.batch_norm(f"adjust_bn_{name}", net.concat(self._numbered("concatenate"), (even, odd)))

    def _pointwise(self, name: str, x: Value, filters: int) -> Value:
        return self._net.conv(name, x, filters, 1, bias=False, norm=4)

    def _mean(self, name: str, x: Value) -> Value:
        return self._net.avg_pool(name, x, 3, strides=1, padding="SAME")

    def _separable(self, name: str, x: Value, filters: int, kernel: int, strides: int = 1) -> Value:
        net = self._net
        for index, stride in ((1, strides), (2, 1)):
            layer = f"separable_conv_{index}_{name}"
            x = net.depthwise(layer, self.relu(x), kernel, strides=stride, bias=False)
            x = self._pointwise(f"{layer}_pointwise", x, filters)
        return x
