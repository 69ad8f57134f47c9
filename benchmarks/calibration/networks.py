"""The networks of the measurements: those of the zoo at the published size, and layer lists of what it lacks.

Exact: layers and sizes as published. Approximate: named so, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from segsolve.graph.model import Graph
from segsolve.graph.read import read_graph
from segsolve.zoo import (
    densenet,
    inception_resnet,
    inception_v3,
    inception_v4,
    mobilenet,
    resnet,
    resnet_v2,
    squeezenet,
    synthetic,
    vgg,
)
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value
from segsolve.zoo.writer import write

Draw = Callable[[Builder], Value]


@dataclass(frozen=True, slots=True)
class Network:
    """How a network of the measurements is drawn; `note` says in what it is approximate.

    `channel_bytes` is what its compiler report shows per output channel: 4 for the uint8 networks.
    """

    draw: Draw
    size: int = 0
    note: str = ""
    channel_bytes: int = 4


class _Resized(Builder):
    """Draws a network of the zoo for images of another size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def input(self, *shape: int) -> Value:
        if self._size and len(shape) == 3:
            return super().input(self._size, self._size, shape[2])
        return super().input(*shape)


def inception_v1(net: Builder) -> Value:
    """Draw GoogLeNet with batch normalisation, as TF-Slim does: 3x3 in place of 5x5."""
    x = net.conv("conv1", net.input(224, 224, 3), 64, 7, strides=2, activation="RELU", norm=3)
    x = net.max_pool("pool1", x, 3, strides=2, padding="SAME")
    x = net.conv("conv2", x, 64, 1, activation="RELU", norm=3)
    x = net.conv("conv3", x, 192, 3, activation="RELU", norm=3)
    x = net.max_pool("pool2", x, 3, strides=2, padding="SAME")
    for name, filters in _CELLS.items():
        if name in ("4a", "5a"):
            x = net.max_pool(f"pool{name[0]}", x, 3 if name == "4a" else 2, strides=2, padding="SAME")
        x = _cell(net, name, x, filters)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


_CELLS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _cell(net: Builder, name: str, x: Value, filters: Sequence[int]) -> Value:
    conv = partial(net.conv, activation="RELU")
    one, in3, out3, in5, out5, pooled = filters
    ends = [
        conv(f"{name}_1x1", x, one, 1),
        conv(f"{name}_3x3", conv(f"{name}_3x3_in", x, in3, 1), out3, 3),
        conv(f"{name}_5x5", conv(f"{name}_5x5_in", x, in5, 1), out5, 3),
        conv(f"{name}_pool_1x1", net.max_pool(f"{name}_pool", x, 3, strides=1, padding="SAME"), pooled, 1),
    ]
    return net.concat(name, ends)


_EDGETPU_STAGES = (  # repetitions, kernel, stride, expansion, filters, expanded by a full convolution, with residuals
    (1, 3, 1, 4, 24, True, False),
    (2, 3, 2, 8, 32, True, True),
    (4, 3, 2, 8, 48, True, True),
    (5, 5, 2, 8, 96, False, True),
    (4, 5, 1, 8, 144, False, True),
    (2, 5, 2, 8, 192, False, True),
)


def efficientnet_edgetpu(net: Builder, size: int, width: float, depth: float) -> Value:
    """Draw EfficientNet-EdgeTPU, after github.com/tensorflow/tpu, efficientnet_edgetpu."""
    conv = partial(net.conv, activation="RELU")
    x = conv("stem", net.input(size, size, 3), _rounded(32 * width), 3, strides=2)
    for stage, (repetitions, kernel, stride, expansion, filters, full, residual) in enumerate(_EDGETPU_STAGES):
        for block in range(math.ceil(repetitions * depth)):
            name, strides = f"stage{stage}_{block}", stride if block == 0 else 1
            if full:
                y = conv(f"{name}_expand", x, expansion * x.shape[3], kernel, strides=strides)
            else:
                y = conv(f"{name}_expand", x, expansion * x.shape[3], 1)
                y = net.depthwise(f"{name}_depthwise", y, kernel, strides=strides, activation="RELU")
            y = net.conv(f"{name}_project", y, _rounded(filters * width), 1)
            x = net.add(f"{name}_add", x, y) if residual and x.shape == y.shape else y
    x = conv("head", x, _rounded(1280 * width), 1)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


def _rounded(filters: float) -> int:
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def mobilenet_v1(net: Builder, size: int, width: float) -> Value:
    """Draw MobileNet of another width."""
    x = net.conv("conv1", net.input(size, size, 3), max(8, int(32 * width)), 3, strides=2, activation="RELU6")
    for index, (filters, strides) in enumerate(mobilenet.V1_BLOCKS):
        x = net.depthwise(f"depthwise{index}", x, 3, strides=strides, activation="RELU6")
        x = net.conv(f"pointwise{index}", x, max(8, int(filters * width)), 1, activation="RELU6")
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


_RESNET50, _RESNET152 = (3, 4, 6, 3), (3, 8, 36, 3)
_SLIM_ORDER = "TF-Slim strides at the end of a stage, Keras at its beginning"
_UNSAID = "version not said; 1.1 explains both interfaces, 1.0 neither"

# By the names of latency_vendor_tables.csv in lower case, without spaces.
VENDOR: dict[str, Network] = {
    "mobilenetv1224x224": Network(mobilenet.mobilenet_v1),
    "mobilenetv2224x224": Network(mobilenet.mobilenet_v2),
    "mobilenetv10.25128": Network(partial(mobilenet_v1, size=128, width=0.25)),
    "inceptionv1224": Network(inception_v1),
    "inceptionv3299": Network(inception_v3.inception_v3),
    "inceptionv4299": Network(inception_v4.inception_v4),
    "inception-resnetv2299": Network(inception_resnet.inception_resnet_v2),
    "resnet-50v1299": Network(partial(resnet.resnet, depths=_RESNET50), 299, _SLIM_ORDER),
    "resnet-50v2299": Network(partial(resnet_v2.resnet_v2, depths=_RESNET50), 299, _SLIM_ORDER),
    "resnet-152v2299": Network(partial(resnet_v2.resnet_v2, depths=_RESNET152), 299, _SLIM_ORDER),
    "densenet224": Network(partial(densenet.densenet, depths=(6, 12, 24, 16)), 0, "depth not said, taken for 121"),
    "squeezenet224": Network(squeezenet.squeezenet_1_1, 0, _UNSAID),
    "vgg16224": Network(partial(vgg.vgg, depths=(2, 2, 3, 3, 3))),
    "vgg19224": Network(partial(vgg.vgg, depths=(2, 2, 4, 4, 4))),
    "efficientnet-edgetpus": Network(partial(efficientnet_edgetpu, size=224, width=1.0, depth=1.0), channel_bytes=12),
    "efficientnet-edgetpum": Network(partial(efficientnet_edgetpu, size=240, width=1.0, depth=1.1), channel_bytes=12),
    "efficientnet-edgetpul": Network(partial(efficientnet_edgetpu, size=300, width=1.2, depth=1.4), channel_bytes=12),
}


def vendor_key(model: str) -> str:
    """Return the key of a row of the vendor's tables; the tables write the same network in several ways."""
    key = model.lower().replace(" ", "")
    if key.startswith("efficientnet-edgetpu"):
        return "efficientnet-edgetpu" + key.removeprefix("efficientnet-edgetpu").lstrip("-")[0]
    if key.startswith("mobilenet"):
        return key
    return key.replace("224x224", "224").replace("299x299", "299")


KERAS: dict[str, Draw] = {
    "resnet50": partial(resnet.resnet, depths=_RESNET50),
    "inceptionv3": inception_v3.inception_v3,
    "densenet201": partial(densenet.densenet, depths=(6, 12, 48, 32)),
}


@cache
def vendor_graph(key: str) -> Graph:
    """Return the graph of a network of the vendor's tables."""
    return _graph(key, VENDOR[key].draw, VENDOR[key].size)


@cache
def keras_graph(name: str) -> Graph:
    """Return the graph of a network of the compiler logs."""
    return _graph(name, KERAS[name])


@cache
def swept_graph(filters: int) -> Graph:
    """Return the graph of the convolution sweep."""
    return _graph(f"conv-{filters}", partial(synthetic.conv, filters=filters))


def _graph(name: str, draw: Draw, size: int = 0) -> Graph:
    net = _Resized(size)
    output = draw(net)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        path.write_bytes(write(name, net, output, 0))
        return read_graph(path)
