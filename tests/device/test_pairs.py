"""The packed bytes of models against the compiled files that the vendor's compiler made of them.

Pairs are read where they are at hand. `TWINS` are facts of public files whose models are at hand elsewhere.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration.networks import swept_graph
from segsolve.compiler.package import read_compiled
from segsolve.device.activations import TILE_BYTES, tile_bytes
from segsolve.device.memory import always_streams, packed_bytes, streamed_bytes
from segsolve.device.model import Device, load_device
from segsolve.device.operations import mapped_part
from segsolve.graph.model import Graph
from segsolve.graph.read import read_graph
from tests.models import Net
from tests.shared import MEASUREMENTS, MODELS

DEVICE = load_device("edgetpu-usb")
PAIRS = sorted((MODELS / "pairs").glob("*_edgetpu.tflite"))
# google-coral/test_data: parameters in all, by a compiler of version 14 or newer, and what its reports call cached
TWINS = {"mobilenet_v2_1.0_224_quant": 1_600_256 + 2_348_800, "mobilenet_v1_0.25_128_quant": 566_912 - 64}


def packed(path: Path) -> int:
    graph = read_graph(path)
    mapped = mapped_part(graph)
    return sum(packed_bytes(DEVICE, graph, op) for op in graph.ops[mapped.first : mapped.end])


def held(device: Device, graph: Graph) -> tuple[int, int]:
    """Return the packed bytes of what may stay on chip, and of dense layers that never do."""
    sizes = [(packed_bytes(device, graph, op), op) for op in graph.ops]
    streams = sum(n for n, op in sizes if op.kind == "FULLY_CONNECTED" and always_streams(device, graph, op))
    return sum(n for n, _ in sizes) - streams, streams


@pytest.mark.skipif(not PAIRS, reason="no public pairs at hand")
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem.removesuffix("_edgetpu"))
def test_a_compiled_file_holds_the_packed_bytes_of_its_model(path: Path) -> None:
    model = read_compiled(path)
    assert model is not None
    name = path.stem.removesuffix("_edgetpu")
    assert packed(path.with_name(f"{name}.tflite")) == model.cached_bytes + model.streamed_bytes


@pytest.mark.parametrize("name", TWINS)
def test_a_public_file_holds_the_packed_bytes_of_its_model(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip("the model is not at hand")
    assert packed(path) == TWINS[name]


def rows(family: str) -> list[dict[str, str]]:
    path = MEASUREMENTS / "compiled_public.csv"
    if not path.exists():
        pytest.skip("the facts of compiled files are not at hand")
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["family"] == family]


def test_the_files_of_the_convolution_sweep() -> None:
    found = rows("sweep_conv_64x64")
    assert len(found) > 60
    device = replace(DEVICE, bias_bytes=0)  # the zoo draws biases, the sweep's are zero
    for row in found:
        filters, layers = int(row["model"].split("-")[0][1:]), int(row["twin_operations"]) - 1
        graph = swept_graph(filters)
        held = int(row["cached_bytes"]) + int(row["streamed_bytes"])
        assert sum(packed_bytes(device, graph, op) for op in graph.ops[:layers]) == held, row["model"]
        if filters <= 300:
            assert tile_bytes(device, graph, 0, layers) == int(row["narrow_bytes_per_tile"]), row["model"]
        elif tile_bytes(device, graph, 0, layers) > TILE_BYTES:
            assert int(row["narrow_bytes_per_tile"]) <= TILE_BYTES


def test_the_activations_of_a_public_network() -> None:
    path = MODELS / "mobilenet_v2_1.0_224_quant.tflite"
    if not path.exists():
        pytest.skip("the model is not at hand")
    assert tile_bytes(DEVICE, read_graph(path)) == 99_552


def test_the_files_of_small_classifiers(tmp_path: Path) -> None:
    """Four convolutions, a dense layer of 10 that always streams from 9,504 inputs on, and its SOFTMAX."""
    found = [row for row in rows("cnn_cifar") if row["model"].startswith("model_size_channel")]
    assert len(found) == 5
    for row in found:
        width = int(row["model"].removeprefix("model_size_channel").split("_")[0])
        if width == 82:
            continue  # six times the bytes of a network of that width: another one
        net = Net()
        x = net.input((1, 6, 6, 3))
        for filters in (width, width, width + 32, width + 32):
            x = net.conv(x, filters)
        x = net.dense(x, 10, bias=False)
        graph = net.load(tmp_path, net.op("SOFTMAX", [x], (1, 10))).graph
        found_bytes = (int(row["cached_bytes"]), int(row["streamed_bytes"]))
        assert held(replace(DEVICE, bias_bytes=0), graph) == found_bytes, row["model"]


def test_the_mapped_part_of_a_public_segmentation_network() -> None:
    path = MODELS / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
    if not path.exists():
        pytest.skip("the model is not at hand")
    assert mapped_part(read_graph(path)).end == 64  # of 72 operations, 8 are left in the compiled file
    assert packed(path) == 766_720


def test_the_files_of_trackers(tmp_path: Path) -> None:
    """The mean place of what is bright or has a colour: a map of one channel, flattened; its SOFTMAX, weighed twice."""
    found = rows("tracker")
    assert len(found) == 17
    for row in found:
        what, *_, size = row["model"].removesuffix("_edgetpu.tflite").split("_")
        side, net = int(size.split("x")[0]), Net()
        pixels = net.input((1, side, side, 1 if what == "bright" else 3), "UINT8")
        x = net.op("QUANTIZE", [pixels], net.shape(pixels), kind="INT8")
        x = x if what == "bright" else net.conv(x, 1, size=1, per_channel=False)
        x = net.op("SOFTMAX", [net.op("RESHAPE", [x], (1, side * side))], (1, side * side))
        graph = net.load(tmp_path, net.concat(net.dense(x, 1, bias=False), net.dense(x, 1, bias=False))).graph
        assert held(DEVICE, graph) == (int(row["cached_bytes"]), int(row["streamed_bytes"])), row["model"]


def test_the_streams_of_detectors_mapped_whole(tmp_path: Path) -> None:
    """A YOLOv8 in one piece streams its anchors, two values for each box, and their four sizes."""
    sizes = {"1x128x128x3": 128, "1x256x256x3": 256}  # at 320 both stream twice, as if two stripes took them
    found = [row for row in rows("yolov8") if row["input_shapes"] in sizes and row["streamed_bytes"] != "0"]
    assert len(found) == 11
    for row in found:
        boxes, net = sum((sizes[row["input_shapes"]] // stride) ** 2 for stride in (8, 16, 32)), Net()
        parts = []
        for values, kind in ((2, "ADD"), (4, "MUL")):
            x, constant = net.input((1, values, boxes)), net.constant(np.ones((1, values, boxes), np.int8), scale=0.05)
            parts.append(net.op(kind, [x, constant], (1, values, boxes), {}))
        graph = net.load(tmp_path, *parts).graph
        assert sum(streamed_bytes(DEVICE, graph, op) for op in graph.ops) == int(row["streamed_bytes"]), row["model"]
