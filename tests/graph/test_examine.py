"""What LiteRT makes of a file is what all else goes by: its shapes, and what follows from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from segsolve.errors import ModelError
from segsolve.graph.load import told
from segsolve.graph.read import read_model
from segsolve.segments.writer import segment_bytes, segment_of
from tests.models import Array, Net, run

MAP = (1, 4, 4, 8)


def without_shape(net: Net, tensor: int, recorded: list[int] | None = None) -> int:
    net.graph.tensors[tensor].shape = None if recorded is None else np.array(recorded, np.int32)
    return tensor


def assert_same(actual: dict[str, Array], expected: dict[str, Array]) -> None:
    assert actual.keys() == expected.keys()
    assert all(np.array_equal(actual[name], value) for name, value in expected.items())


@pytest.mark.parametrize("recorded", [None, [], [1, 2, 2, 8]], ids=["missing", "no rank", "stale"])
def test_a_shape_that_the_file_lacks_is_inferred(tmp_path: Path, recorded: list[int] | None) -> None:
    net = Net()
    inner = net.conv(net.input())
    output = net.conv(inner)
    without_shape(net, inner, recorded)
    graph = net.load(tmp_path, output).graph
    assert graph.tensors[inner].shape == MAP
    assert graph.crossing_bytes(1) == 128
    assert not graph.tensors[inner].dynamic


def test_what_follows_from_a_frozen_batch_is_constant(tmp_path: Path) -> None:
    net = Net()
    inner = net.conv(net.input(shapeSignature=np.array([-1, 4, 4, 8], np.int32)))
    flat = net.op("RESHAPE", [inner, net.sizes(inner, 128)], (1, 128), {})
    loaded = net.load(tmp_path, net.dense(flat, 10))
    graph = loaded.graph
    assert [op.kind for op in graph.ops] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert [op.file_index for op in graph.ops] == [0, 4, 5]
    assert graph.folded == 3
    assert graph.restrictions == ()
    assert not any(tensor.dynamic for tensor in graph.tensors)
    assert_same(run(segment_bytes(loaded, segment_of(graph, range(3)))), run(loaded.content))


def test_sizes_that_follow_from_sizes_are_folded_too(tmp_path: Path) -> None:
    net = Net()
    x = net.input(shapeSignature=np.array([-1, 4, 4, 8], np.int32))
    for _ in range(4):
        x = net.op("RESHAPE", [x, net.sizes(x, 4, 4, 8)], MAP, {})
    graph = net.load(tmp_path, net.relu(x)).graph
    assert [op.kind for op in graph.ops] == ["RESHAPE"] * 4 + ["RELU"]
    assert graph.folded == 12
    assert not any(tensor.dynamic for tensor in graph.tensors)


def test_a_custom_operator_that_litert_does_not_know_blocks_what_hangs_on_it(tmp_path: Path) -> None:
    net = Net()
    inner = without_shape(net, net.conv(net.input()))
    poses = net.tensor("poses", (1, 4, 4, 8))
    net.operator("CUSTOM", [inner], [poses])
    net.model.operatorCodes[-1].customCode = b"PosenetDecoderOp"
    graph = net.load(tmp_path, net.relu(poses)).graph
    assert list(graph.blocked) == [1]
    assert "PosenetDecoderOp" in graph.blocked[1]
    assert graph.tensors[inner].shape == MAP


def test_what_is_blocked_may_record_any_size(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input())
    poses = net.tensor("poses", (1, 4, -(2**31), 8))
    net.operator("CUSTOM", [x], [poses])
    net.model.operatorCodes[-1].customCode = b"PosenetDecoderOp"
    after = net.relu(poses)
    net.graph.tensors[after].shape = np.array([1, 4, 4, 8], np.int32)
    net.graph.tensors[poses].type = schema.TensorType.VARIANT  # of others LiteRT refuses the file
    graph = net.load(tmp_path, x, after).graph
    assert list(graph.blocked) == [1]
    assert graph.tensors[poses].shape == (1, 4, 0, 8)


def two_networks(net: Net) -> int:
    """Give each of two subgraphs a signature."""
    output = net.relu(net.input())
    second = schema.SubGraphT()
    second.name = b"second"
    second.tensors = [schema.TensorT() for _ in range(2)]
    for name, tensor in zip((b"left", b"right"), second.tensors, strict=True):
        tensor.name, tensor.shape, tensor.type = name, np.array([1, 4], np.int32), schema.TensorType.INT8
        tensor.quantization = net.graph.tensors[0].quantization
    second.inputs, second.outputs, second.operators = [0], [1], [net.graph.operators[0]]
    net.model.subgraphs.append(second)
    net.model.signatureDefs = []
    for index, key in enumerate((b"classify", b"embed")):
        definition = schema.SignatureDefT()
        definition.signatureKey, definition.subgraphIndex = key, index
        definition.inputs, definition.outputs = [], []
        net.model.signatureDefs.append(definition)
    return output


def test_of_several_signatures_the_first_or_the_named_one_is_read(tmp_path: Path) -> None:
    net = Net()
    path = net.write(tmp_path, two_networks(net))
    first, second = read_model(path), read_model(path, "embed")
    assert (first.graph.signature, second.graph.signature) == ("classify", "embed")
    assert [t.name for t in second.graph.tensors] == ["left", "right"]
    assert first.graph.sha256 == second.graph.sha256
    assert list(run(second.content)) == ["right"]


def test_what_litert_glues_together_is_told_once_each() -> None:
    glued = "Axis must be 1. Was 3.Tensor 2 is wrong.\nAxis must be 1. Was 3.Tensor 5 is wrong."
    assert told(glued) == "Axis must be 1. Was 3. (2 times) Tensor 2 is wrong. (2 times)"


def test_a_model_that_litert_dies_of_is_refused_with_the_operation_that_it_dies_in(tmp_path: Path) -> None:
    net = Net()
    output = net.add(net.relu(net.input()), 0)
    net.graph.tensors[output].quantization.scale = np.array([-1], np.float32)
    with pytest.raises(ModelError, match=r"LiteRT ends its process with SIGABRT in operation 1 \(ADD\)"):
        net.load(tmp_path, output)
