"""The detectors of the zoo against a real one, and from end to end: what comes out of them is read as detections."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from segsolve import zoo
from segsolve.graph.read import read_graph
from segsolve.zoo.builder import Builder
from segsolve.zoo.files import write_network
from segsolve.zoo.steps import Reals
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.io.detections import detector
from segsolve_runtime.io.pixels import Canvas
from tests.models import run
from tests.shared import MODELS

WAYS = {
    "ssd-mobilenetv1": "TFLite_Detection_PostProcess",
    "ssdlite-mobiledet": "TFLite_Detection_PostProcess",
    "efficientdet-lite0": "TFLite_Detection_PostProcess",
    "yolov5s": "YOLO",
    "yolov8n": "YOLO",
}


@pytest.mark.parametrize("name", WAYS)
def test_outputs_are_read_as_detections(name: str, tmp_path: Path) -> None:
    path = write_network(name, tmp_path)
    graph = read_graph(path)
    tensors = [graph.tensors[t] for t in graph.outputs]
    specs = []
    for tensor in tensors:
        known = tensor.quantisation
        scale, zero = (known.scales[0], known.zero_points[0]) if known else (None, None)
        spec = TensorSpec(
            name=tensor.name, dtype=tensor.dtype.lower(), shape=list(tensor.shape), scale=scale, zero_point=zero
        )
        specs.append(spec)
    _, height, width, channels = graph.tensors[graph.inputs[0]].shape
    reader = detector(specs, Canvas(width=width, height=height, channels=channels), 0.0)
    assert reader.way == WAYS[name]
    found = reader.of("x", run(path.read_bytes()))
    assert found
    assert all(0 <= each.index < 91 for each in found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_ssd_has_the_operations_and_shapes_of_a_published_file() -> None:
    path = MODELS / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set SEGSOLVE_MODELS")
    real, net = read_graph(path), Builder()
    zoo.get("ssd-mobilenetv1").build(net)
    ours = Counter(step.operator for step in net.steps)
    theirs = Counter(op.kind.removeprefix("CUSTOM:") for op in real.ops)
    assert ours - theirs == {"DEQUANTIZE": 2}  # int8 post-processing takes real numbers, that of uint8 need not
    assert not theirs - ours
    # The published file is three quarters as wide in its backbone; heights and widths are the same.
    maps = [real.tensors[op.outputs[0]].shape[1:3] for op in real.ops if op.kind == "CONV_2D"]
    assert [step.output.shape[1:3] for step in net.steps if step.operator == "CONV_2D"] == maps
    anchors = real.ops[-1].constants[0]
    assert real.tensors[anchors].shape == (1917, 4)


def test_yolo_has_the_boxes_of_three_strides() -> None:
    for name, per_cell, axis in (("yolov5s", 3, 1), ("yolov8n", 1, 2)):
        net = Builder()
        output = zoo.get(name).build(net)
        assert output.shape[axis] == per_cell * (40 * 40 + 20 * 20 + 10 * 10)


def test_anchors_of_efficientdet_lie_in_the_image() -> None:
    net = Builder()
    zoo.get("efficientdet-lite0").build(net)
    (anchors,) = net.steps[-1].constants
    assert isinstance(anchors, Reals)
    values = np.array(anchors.values).reshape(-1, 4)
    assert len(values) == 9 * (40**2 + 20**2 + 10**2 + 5**2 + 3**2)
    assert values[0].tolist() == pytest.approx([4 / 320, 4 / 320, 32 / 320, 32 / 320])
