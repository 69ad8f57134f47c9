"""EfficientDet-Lite0 to -Lite2: EfficientDet (Tan, Pang and Le, CVPR 2020) on EfficientNet-Lite, with ReLU6.

Drawn after github.com/google/automl, efficientdet: hparams_config.py and keras/efficientdet_keras.py. Features are
fused by sums. Box and class nets share their weights over the levels, but not their normalisations, so that the
converter, which folds these, writes the weights once for each level; parameters count them once.
"""

from __future__ import annotations

from collections.abc import Sequence

from segsolve.zoo import efficientnet_lite
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Activation, Value

CLASSES = 90
ANCHORS = 9  # three scales, three aspect ratios
LEVELS = (3, 4, 5, 6, 7)
_SCALES, _RATIOS = (0, 1 / 3, 2 / 3), ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
_NORM = 2  # trainable parameters per channel of a normalisation


def efficientdet_lite(net: Builder, size: int, width: float, depth: float, filters: int, cells: int) -> Value:
    """Draw an EfficientDet-Lite whose pyramid has ``filters`` channels and is passed ``cells`` times."""
    backbone = efficientnet_lite.features(net, size, width, depth)
    maps = _levels(net, backbone, filters)
    for cell in range(cells):
        maps = _cell(net, f"cell_{cell}", maps, filters)
    boxes = _net(net, "box", list(maps.values()), 4 * ANCHORS)
    scores = _net(net, "class", list(maps.values()), CLASSES * ANCHORS)
    flat = net.concat("boxes", [net.reshape(f"boxes_{i}", x, _rows(x, 4)) for i, x in enumerate(boxes)], axis=1)
    logits = net.concat(
        "scores", [net.reshape(f"scores_{i}", x, _rows(x, CLASSES)) for i, x in enumerate(scores)], axis=1
    )
    return net.detections(
        "StatefulPartitionedCall",
        net.dequantize("raw_boxes", flat),
        net.dequantize("raw_scores", net.logistic("probabilities", logits)),
        _anchors(size),
        most=25,
        options={
            **{"num_classes": CLASSES, "nms_iou_threshold": 0.5, "nms_score_threshold": 1e-8},
            **{"x_scale": 1.0, "y_scale": 1.0, "h_scale": 1.0, "w_scale": 1.0},
        },
    )


def _levels(net: Builder, backbone: Sequence[Value], filters: int) -> dict[int, Value]:
    """Return the backbone's maps and two more, which pooling makes of its last."""
    maps = dict(zip(LEVELS, backbone, strict=False))
    x = net.conv("resample_p6", maps[5], filters, 1, bias=True, norm=_NORM)
    maps[6] = net.max_pool("p6", x, 3, strides=2, padding="SAME")
    maps[7] = net.max_pool("p7", maps[6], 3, strides=2, padding="SAME")
    return maps


def _cell(net: Builder, name: str, maps: dict[int, Value], filters: int) -> dict[int, Value]:
    """Pass the pyramid from the top down and from the bottom up; each fusion brings its inputs to its own size."""
    down, up = dict[int, Value](), dict[int, Value]()
    above = maps[7]
    for level in (6, 5, 4, 3):
        node = f"{name}/down_{level}"
        above = _fused(net, node, [_resampled(net, f"{node}/lateral", maps[level], filters), above], maps[level])
        down[level] = above
    up[3] = below = down[3]
    for level in (4, 5, 6):
        node = f"{name}/up_{level}"
        lateral = _resampled(net, f"{node}/lateral", maps[level], filters)
        up[level] = below = _fused(net, node, [lateral, down[level], below], maps[level])
    up[7] = _fused(net, f"{name}/up_7", [maps[7], below], maps[7])
    return dict(sorted(up.items()))


def _resampled(net: Builder, name: str, x: Value, filters: int) -> Value:
    return x if x.shape[3] == filters else net.conv(name, x, filters, 1, bias=True, norm=_NORM)


def _fused(net: Builder, name: str, inputs: Sequence[Value], like: Value) -> Value:
    sized = [_sized(net, f"{name}/sized_{i}", x, like) for i, x in enumerate(inputs)]
    total = sized[0]
    for i, x in enumerate(sized[1:], start=1):
        activation: Activation = "RELU6" if i == len(sized) - 1 else "NONE"
        total = net.add(f"{name}/sum_{i}", total, x, activation=activation)
    return _separable(net, name, total, total.shape[3], norm=_NORM)


def _sized(net: Builder, name: str, x: Value, like: Value) -> Value:
    height, width = like.shape[1:3]
    if x.shape[1] < height:
        return net.upsample(name, x, height, width)
    return net.max_pool(name, x, 3, strides=2, padding="SAME") if x.shape[1] > height else x


def _separable(
    net: Builder, name: str, x: Value, filters: int, *, norm: int = 0, activation: Activation = "NONE"
) -> Value:
    y = net.depthwise(f"{name}/depthwise", x, 3, bias=False)
    return net.conv(f"{name}/pointwise", y, filters, 1, norm=norm, activation=activation)


def _net(net: Builder, name: str, maps: Sequence[Value], outputs: int) -> list[Value]:
    """A box or class net on every level: three separable convolutions, and one that predicts."""
    found = []
    for i, level in enumerate(maps):
        x, before = level, net.parameters
        for k in range(3):
            x = _separable(net, f"{name}/level_{i}/{k}", x, x.shape[3], norm=_NORM, activation="RELU6")
        found.append(_separable(net, f"{name}/level_{i}/predict", x, outputs))
        if i:  # shared but for the normalisations
            net.parameters = before + 3 * _NORM * level.shape[3]
    return found


def _rows(x: Value, members: int) -> tuple[int, int, int]:
    return (1, x.shape[1] * x.shape[2] * ANCHORS, members)


def _anchors(size: int) -> list[float]:
    """Anchors as centre y, x, height, width in parts of the image, of four strides each (keras/anchors.py)."""
    found: list[float] = []
    for level in LEVELS:
        cells = -(-size // 2**level)
        sizes = [
            (4 * 2**level * 2**scale * high / size, 4 * 2**level * 2**scale * wide / size)
            for scale in _SCALES
            for wide, high in _RATIOS
        ]
        for row in range(cells):
            for column in range(cells):
                for height, width in sizes:
                    found += [(row + 0.5) * 2**level / size, (column + 0.5) * 2**level / size, height, width]
    return found
