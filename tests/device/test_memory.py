"""Stored bytes of layers by hand-worked examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsolve.device.memory import largest_map_bytes, round_up, scratch_bytes, stored_bytes
from segsolve.device.model import load_device
from tests.models import Net, residual_net

# Figures of the tests' own: those of the catalogue follow the reports that it was calibrated with.
DEVICE = replace(
    load_device("edgetpu-usb"),
    input_multiple=4,
    output_multiple=64,
    channel_bytes={"int8-per-channel": 12, "int8-per-tensor": 8, "uint8": 4},
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
        # kh * kw * ceil4(Cin) * ceil64(Cout) + 12 (int8 per channel), 8 (per tensor) or 4 (uint8) each
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 32), 9 * 4 * 64 + 12 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 3)), 32, per_channel=False), 9 * 4 * 64 + 8 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 3), "UINT8"), 32, per_channel=False, kind="UINT8"), 9 * 4 * 64 + 4 * 64),
        (lambda n: n.conv(n.input((1, 4, 4, 8)), 65, size=1), 8 * 128 + 12 * 128),
        (lambda n: n.conv(n.input((1, 4, 4, 5)), 64, size=5), 25 * 8 * 64 + 12 * 64),
        # kh * kw * 4 * ceil64(C) + the same per channel
        (lambda n: n.depthwise(n.input((1, 4, 4, 70))), 9 * 4 * 128 + 12 * 128),
        (lambda n: n.depthwise(n.input((1, 4, 4, 8)), per_channel=False), 9 * 4 * 64 + 8 * 64),
        (lambda n: n.depthwise(n.input(kind="UINT8"), per_channel=False, kind="UINT8"), 9 * 4 * 64 + 4 * 64),
        # ceil4(Nin) * ceil64(Nout), nothing per channel
        (lambda n: n.dense(n.input((1, 130)), 10), 132 * 64),
        (lambda n: n.dense(n.input((1, 128)), 65), 128 * 128),
        (_transposed, 4 * 8 * 64 + 12 * 64),
        # what is not a layer streams its constants, a copy for every tile; shapes and axes stay on the host
        (lambda n: n.mul(n.input()), 16 * 8),
        (_add_constants, 16 * (4 * 4 * 8)),
        (lambda n: n.split(n.input(), 2)[0], 0),
        (lambda n: n.relu(n.input()), 0),
        (_product_of_activations, 0),
    ],
)  # fmt: skip
def test_stored_bytes(tmp_path: Path, build: Callable[[Net], int], expected: int) -> None:
    net = Net()
    graph = net.load(tmp_path, build(net)).graph
    assert stored_bytes(DEVICE, graph, graph.ops[0]) == expected


def test_padding_is_the_device_s(tmp_path: Path) -> None:
    net = Net()
    graph = net.load(tmp_path, net.conv(net.input((1, 4, 4, 3)), 32)).graph
    other = replace(DEVICE, input_multiple=8, output_multiple=16, channel_bytes={"int8-per-channel": 1})
    assert stored_bytes(other, graph, graph.ops[0]) == 9 * 8 * 32 + 32


def test_scratch_is_a_share_of_the_largest_map(tmp_path: Path) -> None:
    graph = residual_net().load(tmp_path).graph
    concat = graph.ops[7]
    assert largest_map_bytes(graph, concat) == 4 * 4 * 16
    assert scratch_bytes(replace(DEVICE, activation_factor=1.5), graph, concat) == 384
    assert scratch_bytes(replace(DEVICE, activation_factor=0.0), graph, concat) == 0
