"""What the reader makes of a file: operations, tensors, figures, and where a network may be cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsolve.graph.model import Graph
from segsolve.graph.read import read_graph, unique_names
from tests.models import Net, residual_net
from tests.shared import MODELS

MAP = 4 * 4 * 8  # bytes of the feature maps of `residual_net`


def names(graph: Graph, tensors: tuple[int, ...]) -> list[str]:
    return [graph.tensors[t].name for t in tensors]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return residual_net().load(tmp_path_factory.mktemp("model"), name="residual").graph


def test_operations_come_in_execution_order_with_their_kinds(graph: Graph) -> None:
    assert graph.name == "residual"
    assert [op.position for op in graph.ops] == [op.file_index for op in graph.ops] == list(range(11))
    assert [op.kind for op in graph.ops] == [
        "CONV_2D", "RELU", "DEPTHWISE_CONV_2D", "ADD", "MUL", "CONV_2D", "SPLIT", "CONCATENATION", "CONV_2D", "ADD",
        "FULLY_CONNECTED",
    ]  # fmt: skip


def test_macs_are_those_of_a_hand_calculation(graph: Graph) -> None:
    assert [op.macs for op in graph.ops] == [
        4 * 4 * 8 * (3 * 3 * 8), 0, 4 * 4 * 8 * (3 * 3), 0, 0, 4 * 4 * 8 * 8, 0, 0, 4 * 4 * 8 * 16, 0, 10 * MAP,
    ]  # fmt: skip
    assert graph.macs == 9216 + 1152 + 1024 + 2048 + 1280


def test_weight_bytes_are_those_of_a_hand_calculation(graph: Graph) -> None:
    bias = 8 * 4
    assert [op.weight_bytes for op in graph.ops] == [
        8 * 3 * 3 * 8 + bias, 0, 3 * 3 * 8 + bias, 0, 8, 8 * 8 + bias, 4, 0, 8 * 16 + bias, 0, 10 * MAP + 10 * 4,
    ]  # fmt: skip
    assert graph.weight_bytes == sum(op.weight_bytes for op in graph.ops)


def test_weights_and_bias_are_told_from_other_constants(graph: Graph) -> None:
    conv, mul = graph.ops[0], graph.ops[4]
    assert conv.weights is not None
    assert conv.bias is not None
    assert graph.tensors[conv.weights].shape == (8, 3, 3, 8)
    assert graph.tensors[conv.bias].shape == (8,)
    assert conv.constants == (conv.weights, conv.bias)
    assert (mul.weights, mul.bias, len(mul.constants)) == (None, None, 1)


def test_an_operation_has_all_its_outputs_and_only_activations_as_inputs(graph: Graph) -> None:
    split, concat = graph.ops[6], graph.ops[7]
    assert names(graph, split.inputs) == ["conv_2d_5"]
    assert names(graph, split.outputs) == ["split_6_0", "split_6_1"]
    assert names(graph, concat.inputs) == ["split_6_0", "split_6_1", "relu_1"]


def test_shapes_types_and_quantisation_are_read(graph: Graph) -> None:
    image = graph.tensors[graph.inputs[0]]
    assert (image.name, image.dtype, image.shape, image.nbytes) == ("input_0", "INT8", (1, 4, 4, 8), MAP)
    assert image.quantisation is not None
    assert image.quantisation.scales == (float(np.float32(0.05)),)
    assert image.quantisation.zero_points == (0,)
    assert not image.constant
    weights = graph.tensors[graph.ops[2].weights or 0]
    assert weights.constant
    assert weights.quantisation is not None
    assert (len(weights.quantisation.scales), weights.quantisation.axis) == (8, 3)
    assert weights.quantisation.per_channel


def test_crossing_tensors_and_bytes_at_every_position(graph: Graph) -> None:
    late = "input_1"  # read by operation 9 only
    expected: dict[int, set[str]] = {
        1: {late, "conv_2d_0"},
        2: {late, "conv_2d_0", "relu_1"},
        3: {late, "conv_2d_0", "relu_1", "depthwise_conv_2d_2"},
        4: {late, "relu_1", "add_3"},
        5: {late, "relu_1", "mul_4"},
        6: {late, "relu_1", "conv_2d_5"},
        7: {late, "relu_1", "split_6_0", "split_6_1"},
        8: {late, "concatenation_7"},  # relu_1, an output made early, is not read any more
        9: {late, "conv_2d_8"},
        10: {"add_9"},
    }
    found = {p: set(names(graph, graph.crossing(p))) for p in graph.cuts}
    assert found == expected
    halves = {7: 2 * MAP + MAP, 8: MAP + 2 * MAP}
    for position, tensors in expected.items():
        assert graph.crossing_bytes(position) == halves.get(position, len(tensors) * MAP), position


def test_inputs_outputs_producers_and_consumers(graph: Graph) -> None:
    image, late = graph.inputs
    assert names(graph, graph.outputs) == ["fully_connected_10", "relu_1"]
    assert (graph.producer[image], graph.producer[late]) == (-1, -1)
    assert graph.consumers[late] == (9,)
    relu = graph.outputs[1]
    assert (graph.producer[relu], graph.consumers[relu]) == (1, (2, 7))


def test_a_tensor_read_twice_by_one_operation_counts_once(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input())
    graph = net.load(tmp_path, net.add(x, x)).graph
    assert graph.ops[1].inputs == (x,)
    assert graph.consumers[x] == (1,)
    assert graph.crossing_bytes(1) == MAP


def test_an_absent_bias_is_no_constant(tmp_path: Path) -> None:
    net = Net()
    op = net.load(tmp_path, net.dense(net.input(), 3, bias=False)).graph.ops[0]
    assert op.bias is None
    assert op.constants == (op.weights,)
    assert op.weight_bytes == 3 * MAP


def test_macs_of_a_grouped_convolution_count_the_weights_of_one_group(tmp_path: Path) -> None:
    net = Net()
    x = net.input()
    weights = net.weights("CONV_2D", (8, 3, 3, 4), True, "INT8")  # 4 of 8 input channels: two groups
    y = net.op("CONV_2D", [x, *weights], (1, 4, 4, 8), {"strideH": 1, "strideW": 1})
    assert net.load(tmp_path, y).graph.macs == 4 * 4 * 8 * 3 * 3 * 4


def test_macs_of_a_transposed_convolution_scatter_every_input(tmp_path: Path) -> None:
    net = Net()
    x = net.input()
    weights, bias = net.weights("CONV_2D", (5, 2, 2, 8), True, "INT8")
    shape = net.constant(np.array([1, 8, 8, 5], np.int32))
    y = net.op("TRANSPOSE_CONV", [shape, weights, x, bias], (1, 8, 8, 5), {"strideH": 2, "strideW": 2})
    op = net.load(tmp_path, y).graph.ops[0]
    assert op.macs == (4 * 4 * 8) * (2 * 2 * 5)
    assert (op.weights, op.bias) == (weights, bias)


@pytest.mark.parametrize(("transposed", "left"), [(False, (1, 3, 5)), (True, (1, 5, 3))])
def test_macs_of_a_matrix_product(tmp_path: Path, transposed: bool, left: tuple[int, ...]) -> None:
    net = Net()
    x, y = net.input(left), net.input((1, 5, 7))
    z = net.op("BATCH_MATMUL", [x, y], (1, 3, 7), {"adjX": transposed})
    assert net.load(tmp_path, z).graph.macs == 3 * 5 * 7


def test_operators_on_constants_belong_to_their_consumers(tmp_path: Path) -> None:
    net = Net()
    image = net.input()
    shared = net.dequantize(net.constant(np.ones((1, 4, 4, 8), np.float16)))  # operator 0, for two consumers
    alone = net.dequantize(net.constant(np.full((1, 4, 4, 8), 2, np.float16)))  # operator 1
    chain = net.op("QUANTIZE", [alone], (1, 4, 4, 8), kind="INT8")  # operator 2, behind operator 1
    x = net.conv(image)
    x = net.dequantize(net.add(x, chain))
    x = net.op("ADD", [x, shared], (1, 4, 4, 8), {})
    x = net.op("MUL", [x, shared], (1, 4, 4, 8), {})
    graph = net.load(tmp_path, x).graph
    assert [op.kind for op in graph.ops] == ["CONV_2D", "ADD", "DEQUANTIZE", "ADD", "MUL"]
    assert [op.file_index for op in graph.ops] == [3, 4, 5, 6, 7]
    assert [op.constant_operators for op in graph.ops] == [(), (1, 2), (), (0,), (0,)]
    assert [op.weight_bytes for op in graph.ops[1:]] == [2 * MAP, 0, 2 * MAP, 2 * MAP]
    assert [len(op.inputs) for op in graph.ops] == [1] * 5
    assert [len(graph.crossing(p)) for p in graph.cuts] == [1] * 4
    assert graph.weight_bytes == graph.ops[0].weight_bytes + 2 * (2 * MAP)  # what is shared counts once


def test_an_operator_on_constants_that_makes_an_output_is_an_operation(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input())
    constant = net.constant(np.ones((1, 4, 4, 8), np.int8), scale=0.05)
    graph = net.load(tmp_path, x, net.add(constant, constant)).graph
    assert [(op.kind, len(op.inputs)) for op in graph.ops] == [("CONV_2D", 1), ("ADD", 0)]


def test_an_open_batch_is_frozen(tmp_path: Path) -> None:
    net = Net()
    open_batch = np.array([-1, 4, 4, 8], np.int32)
    x = net.conv(net.input(shapeSignature=open_batch))
    net.graph.tensors[x].shapeSignature = open_batch
    graph = net.load(tmp_path, net.relu(x)).graph
    assert graph.frozen_batch
    assert graph.cuts == (1,)
    assert graph.crossing_bytes(1) == MAP


def test_names_are_unique_and_never_empty() -> None:
    assert unique_names([b"a", b"b", b"a", None, b"", b"tensor_3"]) == [
        "a",
        "b",
        "a#2",
        "tensor_3",
        "tensor_4",
        "tensor_3#5",
    ]
    adversarial = [b"a", b"a#2", b"a", b"a", b"a#2#2", b"b\0c", b"b\0d", b"\xff", b"\xfe", None]
    found = unique_names(adversarial)
    assert len(set(found)) == len(adversarial)
    assert all(found)
    assert found[5] == "b"  # LiteRT, too, ends a name at its first zero byte


@pytest.mark.parametrize(
    ("name", "operations", "single", "most", "frozen"),
    [
        ("keras_resnet50_224_int8", 75, 22, 2, True),
        ("keras_inceptionv3_299_int8", 125, 20, 5, True),
        ("mobilenet_v1_0.25_128_quant", 31, 30, 1, False),
        ("mobilenet_v2_1.0_224_quant", 66, 35, 2, False),
        ("deeplabv3_mnv2_dm05_pascal_quant", 72, 36, 2, False),
    ],
)
def test_known_figures_of_real_models(name: str, operations: int, single: int, most: int, frozen: bool) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set SEGSOLVE_MODELS")
    graph = read_graph(path)
    assert len(graph.ops) == operations
    assert graph.cuts == tuple(range(1, operations))
    crossing = [len(graph.crossing(p)) for p in graph.cuts]
    assert (sum(n == 1 for n in crossing), max(crossing)) == (single, most)
    assert graph.frozen_batch is frozen
    assert graph.file_bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "gmacs", "parameters"),
    [("keras_resnet50_224_int8", 3.86, 25.6e6), ("keras_inceptionv3_299_int8", 5.71, 23.8e6)],
)
def test_macs_and_weights_of_published_networks(name: str, gmacs: float, parameters: float) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set SEGSOLVE_MODELS")
    graph = read_graph(path)
    assert graph.macs / 1e9 == pytest.approx(gmacs, abs=0.01)
    assert graph.weight_bytes == pytest.approx(parameters, rel=0.005)  # int32 biases against folded normalisations
