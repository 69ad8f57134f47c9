"""The networks of the measurements: those of the zoo at the published size, and layer lists of what it lacks.

Exact: layers and sizes as published. Approximate: named so, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.calibration import drawings
from segsolve.device.model import Device
from segsolve.graph.model import Graph
from segsolve.graph.read import read_graph
from segsolve.zoo import (
    densenet,
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

    `per_channel` says whether the outputs' scales differ: they do not in the uint8 networks.
    """

    draw: Draw
    size: int = 0
    note: str = ""
    per_channel: bool = False


class _Resized(Builder):
    """Draws a network of the zoo for images of another size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def input(self, *shape: int) -> Value:
        if self._size and len(shape) == 3:
            return super().input(self._size, self._size, shape[2])
        return super().input(*shape)


_RESNET50, _RESNET101, _RESNET152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)
_UNSAID = "version not said; 1.1 explains both interfaces, 1.0 neither"
# TensorFlow Lite's page of hosted models gives the size of the float files that the vendor's tables are about.
_IRV2 = "as hosted: 121.0 MB are the network up to its auxiliary classifier (120.9 MB), not the whole one (223 MB)"
_DENSENET = "as hosted: 43.6 MB are a 121 without bottlenecks (43.5 MB), not with (32 MB)"
_INCEPTION_V2 = "listed as v3 for images of 224 pixels; its 12.0 MB are those of v2"

# By the names of latency_vendor_tables.csv in lower case, without spaces.
VENDOR: dict[str, Network] = {
    "mobilenetv1224x224": Network(mobilenet.mobilenet_v1),
    "mobilenetv2224x224": Network(mobilenet.mobilenet_v2),
    "mobilenetv10.25128": Network(partial(drawings.mobilenet_v1, size=128, width=0.25)),
    "inceptionv1224": Network(drawings.inception_v1),
    "inceptionv2224": Network(drawings.inception_v2, 0, _INCEPTION_V2),
    "inceptionv3299": Network(inception_v3.inception_v3),
    "inceptionv4299": Network(inception_v4.inception_v4),
    "inception-resnetv2299": Network(drawings.inception_resnet_v2_auxiliary, 0, _IRV2),
    "resnet-50v1299": Network(partial(drawings.resnet_v1_slim, depths=_RESNET50, size=299)),
    "resnet-101v1299": Network(partial(drawings.resnet_v1_slim, depths=_RESNET101, size=299)),
    "resnet-152v1299": Network(partial(drawings.resnet_v1_slim, depths=_RESNET152, size=299)),
    "resnet-50v2299": Network(partial(resnet_v2.resnet_v2, depths=_RESNET50), 299),
    "resnet-101v2299": Network(partial(resnet_v2.resnet_v2, depths=_RESNET101), 299),
    "resnet-152v2299": Network(partial(resnet_v2.resnet_v2, depths=_RESNET152), 299),
    "densenet224": Network(drawings.densenet_without_bottleneck, 0, _DENSENET),
    "squeezenet224": Network(squeezenet.squeezenet_1_1, 0, _UNSAID),
    "vgg16224": Network(partial(vgg.vgg, depths=(2, 2, 3, 3, 3))),
    "vgg19224": Network(partial(vgg.vgg, depths=(2, 2, 4, 4, 4))),
    "efficientnet-edgetpus": Network(
        partial(drawings.efficientnet_edgetpu, size=224, width=1.0, depth=1.0), per_channel=True
    ),
    "efficientnet-edgetpum": Network(
        partial(drawings.efficientnet_edgetpu, size=240, width=1.0, depth=1.1), per_channel=True
    ),
    "efficientnet-edgetpul": Network(
        partial(drawings.efficientnet_edgetpu, size=300, width=1.2, depth=1.4), per_channel=True
    ),
}


def vendor_key(model: str) -> str:
    """Return the key of a row of the vendor's tables; the tables write the same network in several ways."""
    key = model.lower().replace(" ", "")
    if key.startswith("efficientnet-edgetpu"):
        return "efficientnet-edgetpu" + key.removeprefix("efficientnet-edgetpu").lstrip("-")[0]
    if key.startswith("mobilenet"):
        return key
    if key.startswith("inceptionv3224"):
        return "inceptionv2224"
    return key.replace("224x224", "224").replace("299x299", "299")


def quantised(device: Device, network: Network | None = None) -> Device:
    """Return a device for which drawn networks, all per channel, are quantised as a network of the measurements was.

    Reports of Keras networks, without `network`, show 4 bytes per output and so no scales of their own.
    """
    return device if network and network.per_channel else replace(device, scale_bytes=0)


KERAS: dict[str, Draw] = {
    "resnet50": partial(resnet.resnet, depths=_RESNET50),
    "inceptionv3": inception_v3.inception_v3,
    "densenet201": partial(densenet.densenet, depths=(6, 12, 48, 32)),
}


@cache
def vendor_graph(key: str) -> Graph:
    """Return the graph of a network of the vendor's tables."""
    return drawn(key, VENDOR[key].draw, VENDOR[key].size)


@cache
def keras_graph(name: str) -> Graph:
    """Return the graph of a network of the compiler logs, which show as many bytes for an output of any layer."""
    graph = drawn(name, KERAS[name])
    return replace(graph, ops=tuple(replace(op, zero_bias=False) for op in graph.ops))


@cache
def swept_graph(filters: int) -> Graph:
    """Return the graph of the convolution sweep."""
    return drawn(f"conv-{filters}", partial(synthetic.conv, filters=filters))


def drawn(name: str, draw: Draw, size: int = 0) -> Graph:
    """Return the graph of a network that is drawn so."""
    net = _Resized(size)
    output = draw(net)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        path.write_bytes(write(name, net, output, 0))
        return read_graph(path)
