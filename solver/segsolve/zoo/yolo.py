"""YOLOv5s and YOLOv8n (Ultralytics, 2021 and 2023), exported to int8 with the decoding of their heads.

Drawn after yolov5s.yaml and models/tf.py of release 7.0, and yolov8.yaml and nn/modules of release 8.0. Every
convolution has a batch normalisation, of which PyTorch counts two parameters per channel, and a SiLU behind it.
Constants of the decoding (places and sizes of anchors) are drawn at random from their range.
"""

from __future__ import annotations

from collections.abc import Sequence

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

CLASSES = 80
_BINS = 16  # of YOLOv8's distributions over distances


def yolov5s(net: Builder, size: int) -> Value:
    """Draw YOLOv5s for images of the given size; its output is [1, boxes, 5 + classes]."""
    x = _conv(net, "0", net.input(size, size, 3), 32, 6, 2)
    x = _c3(net, "2", _conv(net, "1", x, 64, 3, 2), 64, 1)
    p3 = _c3(net, "4", _conv(net, "3", x, 128, 3, 2), 128, 2)
    p4 = _c3(net, "6", _conv(net, "5", p3, 256, 3, 2), 256, 3)
    x = _c3(net, "8", _conv(net, "7", p4, 512, 3, 2), 512, 1)
    top = _conv(net, "10", _pyramid(net, "9", x, 512), 256, 1)
    x = _c3(net, "13", net.concat("12", [_twice(net, "11", top), p4]), 256, 1, shortcut=False)
    middle = _conv(net, "14", x, 128, 1)
    n3 = _c3(net, "17", net.concat("16", [_twice(net, "15", middle), p3]), 128, 1, shortcut=False)
    n4 = _c3(net, "20", net.concat("19", [_conv(net, "18", n3, 128, 3, 2), middle]), 256, 1, shortcut=False)
    n5 = _c3(net, "23", net.concat("22", [_conv(net, "21", n4, 256, 3, 2), top]), 512, 1, shortcut=False)
    return net.concat("output", [_anchored(net, f"24_{i}", x, size) for i, x in enumerate((n3, n4, n5))], axis=1)


def yolov8n(net: Builder, size: int) -> Value:
    """Draw YOLOv8n for images of the given size; its output is [1, 4 + classes, boxes]."""
    x = _conv(net, "0", net.input(size, size, 3), 16, 3, 2)
    x = _c2f(net, "2", _conv(net, "1", x, 32, 3, 2), 32, 1)
    p3 = _c2f(net, "4", _conv(net, "3", x, 64, 3, 2), 64, 2)
    p4 = _c2f(net, "6", _conv(net, "5", p3, 128, 3, 2), 128, 2)
    top = _pyramid(net, "9", _c2f(net, "8", _conv(net, "7", p4, 256, 3, 2), 256, 1), 256)
    middle = _c2f(net, "12", net.concat("11", [_twice(net, "10", top), p4]), 128, 1, shortcut=False)
    n3 = _c2f(net, "15", net.concat("14", [_twice(net, "13", middle), p3]), 64, 1, shortcut=False)
    n4 = _c2f(net, "18", net.concat("17", [_conv(net, "16", n3, 64, 3, 2), middle]), 128, 1, shortcut=False)
    n5 = _c2f(net, "21", net.concat("20", [_conv(net, "19", n4, 128, 3, 2), top]), 256, 1, shortcut=False)
    return _distributed(net, (n3, n4, n5))


def _conv(net: Builder, name: str, x: Value, filters: int, kernel: int, strides: int = 1) -> Value:
    y = net.conv(f"{name}/conv", x, filters, kernel, strides=strides, bias=False, norm=2)
    return net.silu(f"{name}/act", y)


def _bottleneck(net: Builder, name: str, x: Value, kernels: tuple[int, int], *, shortcut: bool) -> Value:
    channels = x.shape[3]
    y = _conv(net, f"{name}/cv2", _conv(net, f"{name}/cv1", x, channels, kernels[0]), channels, kernels[1])
    return net.add(f"{name}/add", x, y) if shortcut else y


def _c3(net: Builder, name: str, x: Value, filters: int, repeats: int, *, shortcut: bool = True) -> Value:
    y = _conv(net, f"{name}/cv1", x, filters // 2, 1)
    for i in range(repeats):
        y = _bottleneck(net, f"{name}/m{i}", y, (1, 3), shortcut=shortcut)
    joined = net.concat(f"{name}/concat", [y, _conv(net, f"{name}/cv2", x, filters // 2, 1)])
    return _conv(net, f"{name}/cv3", joined, filters, 1)


def _c2f(net: Builder, name: str, x: Value, filters: int, repeats: int, *, shortcut: bool = True) -> Value:
    y, half = _conv(net, f"{name}/cv1", x, filters, 1), filters // 2
    parts = [net.part(f"{name}/left", y, 0, half), net.part(f"{name}/right", y, half, filters)]
    for i in range(repeats):
        parts.append(_bottleneck(net, f"{name}/m{i}", parts[-1], (3, 3), shortcut=shortcut))
    return _conv(net, f"{name}/cv2", net.concat(f"{name}/concat", parts), filters, 1)


def _pyramid(net: Builder, name: str, x: Value, filters: int) -> Value:
    """Spatial pyramid pooling, the fast kind: three poolings one after the other."""
    pools = [_conv(net, f"{name}/cv1", x, x.shape[3] // 2, 1)]
    for i in range(3):
        pools.append(net.max_pool(f"{name}/pool{i}", pools[-1], 5, strides=1, padding="SAME"))
    return _conv(net, f"{name}/cv2", net.concat(f"{name}/concat", pools), filters, 1)


def _twice(net: Builder, name: str, x: Value) -> Value:
    return net.upsample(name, x, 2 * x.shape[1], 2 * x.shape[2])


def _anchored(net: Builder, name: str, x: Value, size: int) -> Value:
    """YOLOv5's head on one map: three anchors in every cell, whose places and sizes are scaled by constants."""
    cells, stride = x.shape[1] * x.shape[2], size // x.shape[1]
    y = net.conv(f"{name}/m", x, 3 * (CLASSES + 5), 1)
    y = net.logistic(f"{name}/sigmoid", net.reshape(f"{name}/cells", y, (1, cells, 3, CLASSES + 5)))
    places = net.scaled(f"{name}/xy_scaled", net.part(f"{name}/xy", y, 0, 2), (2,), *(2 * stride / size,) * 2)
    places = net.shifted(f"{name}/xy_placed", places, (1, cells, 1, 2), -0.5 * stride / size, 1)
    sizes = net.part(f"{name}/wh", y, 2, 4)
    squares = net.multiply(f"{name}/wh_squared", sizes, sizes, sizes.spread)
    sizes = net.scaled(f"{name}/wh_scaled", squares, (1, 1, 3, 2), stride / size, 16 * stride / size)
    rest = net.requantize(f"{name}/rescaled", net.part(f"{name}/scores", y, 4, CLASSES + 5))
    return net.reshape(
        f"{name}/boxes", net.concat(f"{name}/joined", [places, sizes, rest]), (1, 3 * cells, CLASSES + 5)
    )


def _distributed(net: Builder, maps: Sequence[Value]) -> Value:
    """YOLOv8's head: distances to the sides of a box as the means of distributions over 16 bins."""
    boxes, scores = [], []
    for i, x in enumerate(maps):
        cells, wide = x.shape[1] * x.shape[2], max(16, maps[0].shape[3] // 4, 4 * _BINS)
        y = _conv(net, f"22/cv2_{i}_1", _conv(net, f"22/cv2_{i}_0", x, wide, 3), wide, 3)
        boxes.append(net.reshape(f"22/boxes_{i}", net.conv(f"22/cv2_{i}_2", y, 4 * _BINS, 1), (1, cells, 4 * _BINS)))
        wide = max(maps[0].shape[3], min(CLASSES, 100))
        y = _conv(net, f"22/cv3_{i}_1", _conv(net, f"22/cv3_{i}_0", x, wide, 3), wide, 3)
        scores.append(net.reshape(f"22/classes_{i}", net.conv(f"22/cv3_{i}_2", y, CLASSES, 1), (1, cells, CLASSES)))
    joined = net.concat("22/boxes", boxes, axis=1)
    count = joined.shape[1]
    bins = net.softmax("22/dfl/softmax", net.reshape("22/dfl/bins", joined, (1, count, 4, _BINS)))
    distances = net.reshape("22/dfl/distances", net.conv("22/dfl/conv", bins, 1, 1, bias=False), (1, count, 4))
    start = net.shifted("22/start", net.part("22/left_top", distances, 0, 2), (1, count, 2), -1, 0)
    end = net.shifted("22/end", net.part("22/right_bottom", distances, 2, 4), (1, count, 2), 0, 1)
    middle = net.scaled("22/middle", net.add("22/ends", start, end), (1,), 0.5, 0.5)
    box = net.concat("22/box", [middle, net.subtract("22/size", end, start)], axis=2)
    box = net.scaled("22/box_scaled", box, (1, count, 1), 0.025, 0.1)
    classes = net.requantize("22/rescaled", net.logistic("22/sigmoid", net.concat("22/classes", scores, axis=1)))
    return net.transpose("output", net.concat("22/joined", [box, classes], axis=2), (0, 2, 1))
