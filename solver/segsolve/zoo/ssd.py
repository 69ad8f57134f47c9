"""SSD detectors of TensorFlow's object_detection: MobileNet v1 and v2, and SSDLite MobileDet for the Edge TPU.

Drawn as its TF1 converter exports them: six feature maps, a box and a class predictor on each, and
TFLite_Detection_PostProcess behind them. Sources: object_detection, models/ssd_mobilenet_v1_feature_extractor.py,
ssd_mobilenet_v2_..., ssd_mobiledet_... and feature_map_generators.py; the quantised configurations for 300 and 320.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from segsolve.zoo.builder import Builder
from segsolve.zoo.mobilenet import V1_BLOCKS, V2_STAGES
from segsolve.zoo.steps import Value

EXTRA = (512, 256, 256, 128)  # filters of the feature maps behind the backbone
CLASSES = 91  # with the background
ANCHORS = (3, 6, 6, 6, 6, 6)
NORM = 4  # parameters per channel of a batch normalisation, moving averages counted


def ssd_mobilenet_v1(net: Builder) -> Value:
    """Draw SSD MobileNet v1."""
    x, maps = _conv(net, "Conv2d_0", net.input(300, 300, 3), 32, 3, strides=2), []
    for index, (filters, strides) in enumerate(V1_BLOCKS, start=1):
        x = _depthwise(net, f"Conv2d_{index}_depthwise", x, 3, strides=strides)
        x = _conv(net, f"Conv2d_{index}_pointwise", x, filters, 1)
        if index in (11, 13):
            maps.append(x)
    return _head(net, [*maps, *_extra(net, x)])


def ssd_mobilenet_v2(net: Builder) -> Value:
    """Draw SSD MobileNet v2; its first map is the expansion of block 13."""
    x, maps, block = _conv(net, "Conv", net.input(300, 300, 3), 32, 3, strides=2), [], 0
    for expansion, filters, repetitions, first in V2_STAGES:
        for strides in (first, *(1,) * (repetitions - 1)):
            y, name = x, f"expanded_conv_{block}"
            if expansion > 1:
                y = _conv(net, f"{name}_expand", x, expansion * x.shape[3], 1)
            if block == 13:
                maps.append(y)
            y = _depthwise(net, f"{name}_depthwise", y, 3, strides=strides)
            y = net.conv(f"{name}_project", y, filters, 1, bias=False, norm=NORM)
            x = net.add(f"{name}_add", y, x) if strides == 1 and x.shape == y.shape else y
            block += 1
    x = _conv(net, "Conv_1", x, 1280, 1)
    return _head(net, [*maps, x, *_extra(net, x)])


def ssdlite_mobiledet(net: Builder) -> Value:
    """Draw SSDLite MobileDet for the Edge TPU."""
    x = _conv(net, "Conv", net.input(320, 320, 3), 32, 3, strides=2)
    x = _tucker(net, "TuckerConv", x, 16)
    maps = []
    for index, (fused, filters, expansion, kernel, strides, residual) in enumerate(MOBILEDET):
        x = _bottleneck(net, f"block_{index}", x, filters, (fused, expansion, kernel, strides, residual))
        if index in (15, 20):
            maps.append(x)
    return _head(net, [*maps, *_extra(net, x, lite=True)], lite=True)


MOBILEDET = (  # fused, filters, expansion, kernel, strides, residual
    (True, 16, 8, 3, 2, False), (True, 16, 4, 3, 1, True), (True, 16, 8, 3, 1, True), (True, 16, 4, 3, 1, True),
    (True, 40, 8, 5, 2, False), (True, 40, 4, 3, 1, True), (True, 40, 4, 3, 1, True), (True, 40, 4, 3, 1, True),
    (False, 72, 8, 3, 2, False), (False, 72, 8, 3, 1, True), (True, 72, 4, 3, 1, True), (True, 72, 4, 3, 1, True),
    (False, 96, 8, 5, 1, False), (False, 96, 8, 5, 1, True), (False, 96, 8, 3, 1, True), (False, 96, 8, 3, 1, True),
    (False, 120, 8, 5, 2, False), (False, 120, 8, 3, 1, True), (False, 120, 4, 5, 1, True), (False, 120, 8, 3, 1, True),
    (False, 384, 8, 5, 1, False),
)  # fmt: skip


def _conv(net: Builder, name: str, x: Value, filters: int, kernel: int, *, strides: int = 1) -> Value:
    return net.conv(name, x, filters, kernel, strides=strides, activation="RELU6", bias=False, norm=NORM)


def _depthwise(net: Builder, name: str, x: Value, kernel: int, *, strides: int = 1) -> Value:
    return net.depthwise(name, x, kernel, strides=strides, activation="RELU6", bias=False, norm=NORM)


def _tucker(net: Builder, name: str, x: Value, filters: int) -> Value:
    x = _conv(net, f"{name}_in", x, max(8, round(x.shape[3] / 4 / 8) * 8), 1)
    x = _conv(net, f"{name}_core", x, int(filters * 0.75 / 8 + 0.5) * 8, 3)
    return net.conv(f"{name}_out", x, filters, 1, bias=False, norm=NORM)


def _bottleneck(net: Builder, name: str, x: Value, filters: int, kind: tuple[bool, int, int, int, bool]) -> Value:
    fused, expansion, kernel, strides, residual = kind
    wide = x.shape[3] * expansion
    if fused:
        y = _conv(net, f"{name}_expand", x, wide, kernel, strides=strides)
    else:
        y = _conv(net, f"{name}_expand", x, wide, 1)
        y = _depthwise(net, f"{name}_depthwise", y, kernel, strides=strides)
    y = net.conv(f"{name}_project", y, filters, 1, bias=False, norm=NORM)
    return net.add(f"{name}_add", y, x) if residual else y


def _extra(net: Builder, x: Value, *, lite: bool = False) -> list[Value]:
    """Add the feature maps behind the backbone, each half as wide as the one before."""
    maps = []
    for index, filters in enumerate(EXTRA, start=2):
        x = _conv(net, f"extra_{index}_1x1", x, filters // 2, 1)
        if lite:
            x = _depthwise(net, f"extra_{index}_depthwise", x, 3, strides=2)
            x = _conv(net, f"extra_{index}", x, filters, 1)
        else:
            x = _conv(net, f"extra_{index}", x, filters, 3, strides=2)
        maps.append(x)
    return maps


def _head(net: Builder, maps: Sequence[Value], *, lite: bool = False) -> Value:
    from segsolve_runtime.io.detections import ssd_anchors
    from segsolve_runtime.io.pixels import Canvas

    boxes, scores = [], []
    for index, (x, anchors) in enumerate(zip(maps, ANCHORS, strict=True)):
        predict = partial(_predictor, net, x, lite=lite)
        cells = x.shape[1] * x.shape[2] * anchors
        box = predict(f"BoxPredictor_{index}/BoxEncodingPredictor", 4 * anchors)
        boxes.append(net.reshape(f"BoxPredictor_{index}/boxes", box, (1, cells, 1, 4)))
        score = predict(f"BoxPredictor_{index}/ClassPredictor", CLASSES * anchors)
        scores.append(net.reshape(f"BoxPredictor_{index}/classes", score, (1, cells, CLASSES)))
    all_boxes = net.concat("concat", boxes, axis=1)
    flat = net.reshape("Squeeze", all_boxes, (1, all_boxes.shape[1], 4))
    probabilities = net.logistic("convert_scores", net.concat("concat_1", scores, axis=1))
    assert net.image is not None
    canvas = Canvas(width=net.image.shape[2], height=net.image.shape[1], channels=3)
    return net.detections(
        "TFLite_Detection_PostProcess",
        net.dequantize("raw_boxes", flat),
        net.dequantize("raw_scores", probabilities),
        ssd_anchors(canvas).reshape(-1).tolist(),
        most=10,
        options={
            **{"num_classes": CLASSES - 1, "nms_iou_threshold": 0.6, "nms_score_threshold": 1e-8},
            **{"x_scale": 10.0, "y_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0},
        },
    )


def _predictor(net: Builder, x: Value, name: str, filters: int, *, lite: bool) -> Value:
    """A convolution of 1x1; of the lite kind with a depthwise one of 3x3 before it."""
    if lite:
        x = _depthwise(net, f"{name}_depthwise", x, 3)
    return net.conv(name, x, filters, 1)
