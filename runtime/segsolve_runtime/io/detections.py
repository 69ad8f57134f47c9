"""Objects that a detector finds: from the outputs of its post-processing, or from the raw heads of SSD and YOLO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.files import is_file
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.images import load_original
from segsolve_runtime.io.pixels import Canvas, Fit
from segsolve_runtime.io.quantise import dequantise, is_quantised, real_range
from segsolve_runtime.io.top import read_labels

DEFAULT_THRESHOLD = 0.5
_MOST_OVERLAP = 0.5  # intersection over union of two boxes of one class that are taken for two objects
_MOST_FOUND = 100
_ANCHOR_CENTRE, _ANCHOR_SIZE = 10.0, 5.0  # y_scale, x_scale and h_scale, w_scale of TensorFlow's SSD box coder

Box = tuple[float, float, float, float]
Raw = tuple[Array, Array, Array]
"""Boxes [n, 4] as left, top, right, bottom in parts of the model's image; class [n]; score [n]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """An object. `box` is left, top, right, bottom, in parts of the picture: 0 to 1, and beyond at its edges."""

    index: int
    label: str | None
    score: float
    box: Box

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        named = {} if self.label is None else {"label": self.label}
        box = [float(f"{side:.5g}") for side in self.box]
        return {"index": self.index, **named, "score": float(f"{self.score:.7g}"), "box": box}

    def __str__(self) -> str:
        box = ", ".join(f"{side:.3f}" for side in self.box)
        return f"{self.label if self.label is not None else self.index} {self.score:.2f} [{box}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Reads the objects of a result; `way` says how the outputs are understood."""

    way: str
    read: Callable[[Mapping[str, Array]], Raw]
    threshold: float
    labels: Mapping[int, str]

    canvas: Canvas
    fit: Fit = "stretch"

    def of(self, origin: str, outputs: Mapping[str, Array], *, on_canvas: bool = False) -> tuple[Detection, ...]:
        """Return the objects that score `threshold` at least, the best first.

        Boxes are in parts of the picture; `on_canvas`, or if `origin` is no image file, in parts of the model's image.
        """
        place = self._placing(None if on_canvas else origin)
        boxes, classes, scores = self.read(outputs)
        order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= self.threshold]
        return tuple(
            Detection(
                index=int(classes[i]),
                label=self.labels.get(int(classes[i])),
                score=float(scores[i]),
                box=place((float(boxes[i][0]), float(boxes[i][1]), float(boxes[i][2]), float(boxes[i][3]))),
            )
            for i in order
        )

    def _placing(self, origin: str | None) -> Callable[[Box], Box]:
        if self.fit == "stretch" or origin is None or not is_file(Path(origin)):
            return lambda box: box
        size = load_original(Path(origin)).size
        return lambda box: on_original(box, size, self.canvas, self.fit)

    def record(self, origin: str, outputs: Mapping[str, Array]) -> dict[str, Any]:
        """Return the objects as members of a JSON object."""
        return {"detections": [found.as_dict() for found in self.of(origin, outputs)]}

    def text(self, origin: str, outputs: Mapping[str, Array]) -> str:
        """Return the objects in a line."""
        return "; ".join(map(str, self.of(origin, outputs))) or "nothing"

    def doubt(self) -> str | None:
        """Return nothing: labels need not name all classes."""
        return None


def detector(
    outputs: Sequence[TensorSpec],
    canvas: Canvas,
    threshold: float = DEFAULT_THRESHOLD,
    labels: Path | None = None,
    fit: Fit = "stretch",
) -> Detector:
    """Return the reader for a model's outputs, of an image of the size of `canvas`.

    Raises:
        InputError: the outputs are none that are known; or the labels cannot be read.
    """
    for way, attempt in _WAYS.items():
        read = attempt(outputs, canvas)
        if read is not None:
            known = read_labels(labels) if labels else {}
            return Detector(way=way, read=read, threshold=threshold, labels=known, canvas=canvas, fit=fit)
    found = ", ".join(f"{spec.name} {spec.shape}" for spec in outputs)
    raise InputError(
        "detections are read from the outputs of TFLite_Detection_PostProcess, of an SSD (boxes [1, n, 4] and scores "
        f"[1, n, classes]) or of a YOLO ([1, n, 5 + classes] or [1, 4 + classes, n]); the model has {found}"
    )


def _post_processed(outputs: Sequence[TensorSpec], _: Canvas) -> Callable[[Mapping[str, Array]], Raw] | None:
    """Boxes, classes, scores and their number, as TFLite_Detection_PostProcess gives them.

    By their names where these tell; else in the operation's own order, or, where the last is no single number, in that
    of models that TensorFlow 2 exports: scores, boxes, number, classes; after pycoral's adapters/detect.py.
    """
    by_shape: dict[int, list[TensorSpec]] = {}
    for spec in outputs:
        by_shape.setdefault(len(spec.shape), []).append(spec)
    if [len(by_shape.get(rank, ())) for rank in (1, 2, 3)] != [1, 2, 1] or by_shape[3][0].shape[-1] != 4:
        return None
    (number,), (first, second), (boxes,) = by_shape[1], by_shape[2], by_shape[3]
    named = [spec for spec in (first, second) if "score" in spec.name.lower()]
    scores = named[0] if len(named) == 1 else second if outputs[-1] is number else first
    classes = second if scores is first else first

    def read(made: Mapping[str, Array]) -> Raw:
        n = max(0, int(made[number.name].reshape(-1)[0]))
        top, left, bottom, right = dequantise(made[boxes.name], boxes).reshape(-1, 4)[:n].T
        kinds = dequantise(made[classes.name], classes).reshape(-1)[:n]
        return np.stack([left, top, right, bottom], 1), kinds, dequantise(made[scores.name], scores).reshape(-1)[:n]

    return read


def _ssd(outputs: Sequence[TensorSpec], canvas: Canvas) -> Callable[[Mapping[str, Array]], Raw] | None:
    """Offsets from anchors, and scores with the background as class 0, of TensorFlow's SSD with its usual six maps."""
    boxes = [spec for spec in outputs if len(spec.shape) == 3 and spec.shape[-1] == 4]
    rest = [spec for spec in outputs if spec not in boxes]
    if len(boxes) != 1 or len(rest) != 1 or rest[0].shape[:2] != boxes[0].shape[:2]:
        return None
    anchors, scores = ssd_anchors(canvas), rest[0]
    if len(anchors) != boxes[0].shape[1]:
        return None

    def read(made: Mapping[str, Array]) -> Raw:
        y, x, h, w = dequantise(made[boxes[0].name], boxes[0]).reshape(-1, 4).astype(np.float64).T
        cy, cx, height, width = anchors.T
        cy, cx = cy + y / _ANCHOR_CENTRE * height, cx + x / _ANCHOR_CENTRE * width
        height, width = height * np.exp(h / _ANCHOR_SIZE), width * np.exp(w / _ANCHOR_SIZE)
        sides = np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], 1)
        return apart(sides, _probabilities(dequantise(made[scores.name], scores)[0])[:, 1:])

    return read


def _yolo(outputs: Sequence[TensorSpec], canvas: Canvas) -> Callable[[Mapping[str, Array]], Raw] | None:
    """One output of centres, sizes and scores, as Ultralytics exports YOLOv5 ([1, n, 5 + c]) and v8 ([1, 4 + c, n])."""
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or min(outputs[0].shape[1:]) < 6:
        return None
    (spec,) = outputs
    is_v5 = spec.shape[1] > spec.shape[2]

    def read(made: Mapping[str, Array]) -> Raw:
        rows = dequantise(made[spec.name], spec)[0]
        rows = (rows if is_v5 else rows.T).astype(np.float64)
        # Exports give parts of the image or pixels; a range that ends near 1 cannot hold pixels.
        reach = real_range(spec)[1] if is_quantised(spec) else float(rows[:, :4].max(initial=0))
        size = np.array([canvas.width, canvas.height] * 2) if reach > 2 else 1.0
        cx, cy, width, height = (rows[:, :4] / size).T
        sides = np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], 1)
        return apart(sides, rows[:, 4:5] * rows[:, 5:] if is_v5 else rows[:, 4:])

    return read


_WAYS = {"TFLite_Detection_PostProcess": _post_processed, "SSD": _ssd, "YOLO": _yolo}


def on_original(box: Box, size: tuple[int, int], canvas: Canvas, fit: Fit) -> Box:
    """Return a box in parts of an image of `size` (width, height) that was brought to the model's as `fit` says."""
    if fit == "stretch":
        return box
    ratio = (size[0] / size[1]) / (canvas.width / canvas.height)  # above 1: wider than the model's image
    part = min(ratio, 1 / ratio) if fit == "crop" else max(ratio, 1 / ratio)
    shift, (left, top, right, bottom) = (1 - part) / 2, box
    if (ratio > 1) == (fit == "crop"):  # it is the width that was cut or filled up
        return (shift + part * left, top, shift + part * right, bottom)
    return (left, shift + part * top, right, shift + part * bottom)


def ssd_anchors(canvas: Canvas) -> Array:
    """Return the anchors of TensorFlow's SSD as centre y, x, height, width in parts of the image, [n, 4].

    Six maps of strides 16, 32 ... 512 (rounded up), scales from 0.2 to 0.95, aspect ratios 1, 2, 1/2, 3, 1/3 and one
    more square; three anchors on the first map. Source: create_ssd_anchors in TensorFlow's object_detection,
    anchor_generators/multiple_grid_anchor_generator.py, with the configuration ssd_mobilenet_v2_coco.
    """
    scales = [0.2 + 0.15 * k for k in range(6)] + [1.0]
    found = []
    for k in range(6):
        rows, columns = ceil(canvas.height / 2 ** (4 + k)), ceil(canvas.width / 2 ** (4 + k))
        kinds = [(scales[k], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)] + [(sqrt(scales[k] * scales[k + 1]), 1.0)]
        kinds = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)] if k == 0 else kinds
        sizes = [(scale / sqrt(ratio), scale * sqrt(ratio)) for scale, ratio in kinds]
        for row in range(rows):
            for column in range(columns):
                found += [((row + 0.5) / rows, (column + 0.5) / columns, h, w) for h, w in sizes]
    return np.array(found)


def apart(boxes: Array, scores: Array) -> Raw:
    """Return the best boxes of each class that do not overlap a better one: greedy non-maximum suppression.

    `boxes` are [n, 4], `scores` [n, classes]; each box counts for its best class.
    """
    classes = scores.argmax(1)
    best = scores[np.arange(len(scores)), classes]
    order = np.argsort(-best, kind="stable")[: 20 * _MOST_FOUND]
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if classes[j] == classes[i]]
        if len(kept) < _MOST_FOUND and not (rivals and _overlaps(boxes[i], boxes[rivals]).max() > _MOST_OVERLAP):
            kept.append(int(i))
    return boxes[kept], classes[kept], best[kept]


def _overlaps(box: Array, others: Array) -> Array:
    """Return the intersection over union of a box with each of the others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(common / np.maximum(areas - common, 1e-12))


def _probabilities(scores: Array) -> Array:
    """Return scores as they are if they are probabilities, else their sigmoid."""
    if scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1:
        return scores
    return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))))
