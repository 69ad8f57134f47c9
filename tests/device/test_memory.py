"""Stored bytes of layers by hand-worked examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsolve.device.activations import tile_bytes
from segsolve.device.memory import (
    always_streams,
    image_scratch_bytes,
    largest_map_bytes,
    packed_bytes,
    round_up,
    scratch_bytes,
    stored_bytes,
    streamed_bytes,
)
from segsolve.device.model import load_device
from segsolve.graph.model import Quantisation
from segsolve.profile.analytic import AnalyticCosts
from tests.models import Net, residual_net

# Figures of the tests' own: those of the catalogue follow the reports that it was calibrated with.
DEVICE = replace(
    load_device("edgetpu-usb"),
    input_multiple=4,
    output_multiple=64,
    scale_bytes=8,
    bias_bytes=4,
    dense_inputs=8192,
    tiles=16,
)


@pytest.mark.parametrize(("value", "multiple", "expected"), [(0, 4, 0), (1, 4, 4), (4, 4, 4), (65, 64, 128)])
def test_rounding_up(value: int, multiple: int, expected: int) -> None:
    assert round_up(value, multiple) == expected


def _transposed(net: Net) -> int:
    x = net.input((1, 4, 4, 6))
    weights, bias = net.weights("CONV_2D", (5, 2, 2, 6), True, "INT8")
    shape = net.constant(np.array([1, 8, 8, 5], np.int32))
    return net.op("TRANSPOSE_CONV", [shape, weights, x, bias], (1, 8, 8, 5), {"strideH": 2, "strideW": 2})


def _product_of_activations(net: Net) -> int:
    x, y = net.input((1, 128)), net.input((3, 128))
    return net.op("FULLY_CONNECTED", [x, y, -1], (1, 3), {})


def _add_constants(net: Net) -> int:
    x = net.input()
    return net.op("ADD", [x, net.constant(np.ones((1, 4, 4, 8), np.int8), scale=0.05)], (1, 4, 4, 8), {})


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        # kh * kw * ceil4(Cin) * ceil64(Cout), and for each output 4 for its bias, 8 where scales differ
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 32), 9 * 4 * 64 + 12 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 32, per_channel=False), 9 * 4 * 64 + 4 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 3), "UINT8"), 32, per_channel=False, kind="UINT8"), 9 * 4 * 64 + 4 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 8)), 65, size=1), 8 * 128 + 12 * 128),
        (lambda n: n.conv(n.input((1, 4, 4, 5)), 64, size=5), 25 * 8 * 64 + 12 * 64),
        # kh * kw * 4 * ceil64(C) + the same per channel
        (lambda n: n.depthwise(n.input((1, 4, 4, 70))), 9 * 4 * 128 + 12 * 128),
        (lambda n: n.depthwise(n.input((1, 4, 4, 8)), per_channel=False), 9 * 4 * 64 + 4 * 64),
        (lambda n: n.depthwise(n.input(kind="UINT8"), per_channel=False, kind="UINT8"), 9 * 4 * 64 + 4 * 64),
        # ceil4(Nin) * ceil64(Nout) + the same per output
        (lambda n: n.dense(n.input((1, 130)), 10), 132 * 64 + 4 * 64),
        (lambda n: n.dense(n.input((1, 128)), 65, bias=False), 128 * 128),
        (_transposed, 4 * 8 * 64 + 12 * 64),
        # what is not a layer streams its constants, a copy for every tile; shapes and axes stay on the host
        (lambda n: n.mul(n.input()), 16 * 8),
        # but of a constant with values for each place, every tile gets its own
        (_add_constants, 4 * 4 * 8),
        (lambda n: n.split(n.input(), 2)[0], 0),
        (lambda n: n.relu(n.input()), 0),
        (_product_of_activations, 0),
    ],
)  # fmt: skip
def test_stored_bytes(tmp_path: Path, build: Callable[[Net], int], expected: int) -> None:
    net = Net()
    graph = net.load(tmp_path, build(net)).graph
    assert stored_bytes(DEVICE, graph, graph.ops[0]) == expected


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        # outputs packed to 4 up to 16, to 16 up to 64, to 64 above; the whole aligned to 64
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 5), (36 + 12) * 8),
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 1, size=1, per_channel=False), 64),
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 17), (36 + 12) * 32),
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 65), (36 + 12) * 128),
        (lambda n: n.depthwise(n.input((1, 4, 4, 8))), (36 + 12) * 16),
        (lambda n: n.depthwise(n.input((1, 4, 4, 70))), (36 + 12) * 72),
        # a dense layer of one output takes 16 bytes per input
        (lambda n: n.dense(n.input((1, 16384)), 1, bias=False), 16 * 16384),
        (lambda n: n.op("SOFTMAX", [n.input((1, 965))], (1, 965)), 48 * 968),
        # parts that fill their lanes are joined for nothing, others by a convolution of ones and zeros
        (lambda n: n.concat(n.input((1, 4, 4, 8)), n.input((1, 4, 4, 3))), 0),
        (lambda n: n.concat(n.input((1, 1)), n.input((1, 1))), (4 + 4 + 4) * 16),
        (lambda n: n.concat(n.input((1, 4, 4, 30)), n.input((1, 4, 4, 40))), (32 + 40 + 4) * 128),
    ],
)  # fmt: skip
def test_packed_bytes(tmp_path: Path, build: Callable[[Net], int], expected: int) -> None:
    net = Net()
    graph = net.load(tmp_path, build(net)).graph
    assert packed_bytes(DEVICE, graph, graph.ops[0]) == expected
    tables = graph.ops[0].kind in ("SOFTMAX", "CONCATENATION")
    assert streamed_bytes(DEVICE, graph, graph.ops[0]) == (0 if tables else expected)


def test_scales_that_are_all_equal_take_nothing(tmp_path: Path) -> None:
    net = Net()
    graph = net.load(tmp_path, net.conv(net.input((1, 4, 4, 3)), 32)).graph
    op = graph.ops[0]
    assert op.weights is not None
    tensors = list(graph.tensors)
    equal = Quantisation(scales=(0.1,) * 32, zero_points=(0,) * 32, axis=0)
    tensors[op.weights] = replace(tensors[op.weights], quantisation=equal)
    assert stored_bytes(DEVICE, replace(graph, tensors=tuple(tensors)), op) == (36 + 4) * 64


def test_a_bias_of_zeros_takes_nothing(tmp_path: Path) -> None:
    net = Net()
    x = net.input((1, 4, 4, 3))
    weights, _ = net.weights("CONV_2D", (32, 3, 3, 3), True, "INT8")
    options = {"strideH": 1, "strideW": 1}
    y = net.op("CONV_2D", [x, weights, net.constant(np.zeros(32, np.int32), scale=0.1)], (1, 4, 4, 32), options)
    graph = net.load(tmp_path, y).graph
    assert graph.ops[0].zero_bias
    assert stored_bytes(DEVICE, graph, graph.ops[0]) == (36 + 8) * 64


@pytest.mark.parametrize(("inputs", "streams"), [(5904, False), (8192, False), (9504, True)])
def test_dense_layers_of_many_inputs_always_stream(tmp_path: Path, inputs: int, streams: bool) -> None:
    net = Net()
    graph = net.load(tmp_path, net.dense(net.input((1, inputs)), 1)).graph
    assert always_streams(DEVICE, graph, graph.ops[0]) is streams
    (cost,) = AnalyticCosts(graph=graph, device=DEVICE).problem(tpus=1).ops
    assert cost.cacheable is not streams


def test_padding_is_the_device_s(tmp_path: Path) -> None:
    net = Net()
    graph = net.load(tmp_path, net.conv(net.input((1, 4, 4, 3)), 32)).graph
    other = replace(DEVICE, input_multiple=8, output_multiple=16, scale_bytes=1, bias_bytes=0)
    assert stored_bytes(other, graph, graph.ops[0]) == 37 * 64  # 9 * 8 * 32 + 32, aligned


def test_scratch_is_a_share_of_the_largest_map(tmp_path: Path) -> None:
    graph = residual_net().load(tmp_path).graph
    concat = graph.ops[7]
    assert largest_map_bytes(graph, concat) == 4 * 4 * 16
    assert scratch_bytes(replace(DEVICE, activation_factor=1.5), graph, concat) == 384
    assert scratch_bytes(replace(DEVICE, activation_factor=0.0), graph, concat) == 0


def test_what_litert_cannot_prepare_has_no_maps(tmp_path: Path) -> None:
    net = Net()
    graph = net.load(tmp_path, net.conv(net.input(), 8)).graph
    op = graph.ops[0]
    flat = [replace(t, shape=(3,)) if t.index in op.outputs else t for t in graph.tensors]
    assert scratch_bytes(DEVICE, replace(graph, tensors=tuple(flat)), op) >= 0


def test_each_tile_holds_its_part_of_the_maps_that_are_alive(tmp_path: Path) -> None:
    net = Net()
    x = net.input((1, 16, 16, 8))
    y = net.conv(x, 8)  # tiles of 4 x 4 read 6 x 6
    graph = net.load(tmp_path, net.add(x, net.conv(y, 8))).graph
    # at the second convolution the input waits for the addition: 6 x 6 as its first reader needs, twice, and 4 x 4
    assert tile_bytes(DEVICE, graph) == 8 * (36 + 36 + 16)
    assert tile_bytes(DEVICE, graph, 0, 1) == 8 * (36 + 16)


@pytest.mark.parametrize(("side", "expected"), [(224, 0), (550, 0), (768, round(7.05 * 768**2)), (1500, 6438257)])
def test_large_images_may_take_more_than_is_known(tmp_path: Path, side: int, expected: int) -> None:
    net = Net()
    x = net.conv(net.input((1, side, side, 3)), 1, size=1)
    graph = net.load(tmp_path, x).graph
    assert image_scratch_bytes(DEVICE, graph) == expected
    assert image_scratch_bytes(DEVICE.optimistic(), graph) == 0
    safe, other = (
        AnalyticCosts(graph=graph, device=d).problem(tpus=1).ops[0].scratch_bytes for d in (DEVICE, DEVICE.optimistic())
    )
    assert safe == max(expected, other)
