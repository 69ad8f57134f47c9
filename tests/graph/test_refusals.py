"""Files and models that no plan can be made for: each ends in a ModelError that says why and names the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from segsolve.errors import ExitCode, ModelError
from segsolve.graph.read import read_model
from tests.models import Net, residual_net
from tests.shared import MODELS


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert caught.value.exit_code is ExitCode.BAD_MODEL
    message = str(caught.value)
    assert path.stem in message
    assert "\n" not in message
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "net.tflite")


def test_a_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be read: Not a directory" in refusal(tmp_path / "file" / "net.tflite")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.touch()
    assert "is empty" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = residual_net().write(tmp_path)
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(path)


@pytest.mark.parametrize("size", [1, 7, 8, 100, 5000])
def test_random_bytes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(np.random.default_rng(size).bytes(size))
    assert "is not a .tflite file" in refusal(path)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_behind_the_identifier(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "net.tflite"
    path.write_bytes(rng.bytes(4) + b"TFL3" + rng.bytes(int(rng.integers(0, 3000))))
    assert "is damaged or truncated" in refusal(path)


def test_a_file_that_is_cut_short_anywhere(tmp_path: Path) -> None:
    content = residual_net().content()
    path = tmp_path / "net.tflite"
    for length in [*range(8, 200), *range(200, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        assert "is damaged or truncated" in refusal(path), length


def _floats(net: Net) -> int:
    x = net.input(kind="FLOAT32")
    weights = net.constant(np.ones((8, 3, 3, 8), np.float32))
    return net.op("CONV_2D", [x, weights, -1], (1, 4, 4, 8), {"strideH": 1, "strideW": 1})


def _hybrid(net: Net) -> int:
    x = net.input(kind="FLOAT32")
    weights, _ = net.weights("CONV_2D", (8, 3, 3, 8), True, "INT8")
    return net.op("CONV_2D", [x, weights, -1], (1, 4, 4, 8), {"strideH": 1, "strideW": 1})


def _floats_without_layers(net: Net) -> int:
    return net.relu(net.input(kind="FLOAT32"))


def _compiled(net: Net) -> int:
    x = net.input()
    output = net.tensor("out", (1, 4, 4, 8))
    net.operator("CUSTOM", [x], [output])
    net.model.operatorCodes[0].customCode = b"edgetpu-custom-op"
    return output


def _referring(net: Net, kind: str, options: str, **fields: object) -> int:
    """Let a second subgraph, a copy of the first, be run by an operator."""
    x = net.relu(net.input())
    output = net.tensor("out", net.shape(x))
    operator = net.operator(kind, [x], [output])
    target = "builtinOptions2" if kind == "STABLEHLO_COMPOSITE" else "builtinOptions"
    union = schema.BuiltinOptions2 if target == "builtinOptions2" else schema.BuiltinOptions
    setattr(operator, f"{target}Type", getattr(union, options))
    setattr(operator, target, getattr(schema, f"{options}T")())
    for field, value in fields.items():
        setattr(getattr(operator, target), field, value)
    second = schema.SubGraphT()
    second.tensors, second.operators = net.graph.tensors[:2], net.graph.operators[:1]
    second.inputs, second.outputs = [0], [1]
    net.model.subgraphs.append(second)
    return output


def _loop(net: Net) -> int:
    return _referring(net, "WHILE", "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=1)


def _composite(net: Net) -> int:
    return _referring(
        net,
        "STABLEHLO_COMPOSITE",
        "StableHLOCompositeOptions",
        name=b"c",
        compositeAttributes=[0],
        decompositionSubgraphIndex=1,
    )


def _initialisation(net: Net) -> int:
    output = net.relu(net.input())
    operator = net.operator("CALL_ONCE", [], [])
    operator.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
    operator.builtinOptions = schema.CallOnceOptionsT()
    operator.builtinOptions.initSubgraphIndex = 1
    second = schema.SubGraphT()
    second.tensors, second.inputs, second.outputs, second.operators = [], [], [], []
    net.model.subgraphs.append(second)
    return output


def _dynamic_input(net: Net) -> int:
    return net.relu(net.input(shapeSignature=np.array([1, -1, -1, 8], np.int32)))


def _no_operations(net: Net) -> int:
    return net.input()


def _no_outputs(net: Net) -> int:
    net.relu(net.input())
    net.graph.outputs = []
    return -1


def _uncomputed_output(net: Net) -> int:
    net.relu(net.input())
    return net.tensor("from nowhere", (1, 4, 4, 8))


def _wrong_order(net: Net) -> int:
    output = net.relu(net.relu(net.input()))
    net.graph.operators.reverse()
    return output


def _wrong_order_of_nothing(net: Net) -> int:
    output = _wrong_order(net)
    for index in net.graph.operators[0].inputs:
        net.graph.tensors[index].shape = np.array([1, 4, 0, 8], np.int32)
    return output


def _made_twice(net: Net) -> int:
    output = net.relu(net.input())
    net.operator("RELU", [0], [output])
    return output


def _lost_weights(net: Net) -> int:
    output = net.conv(net.input())
    net.graph.tensors[1].buffer = 0
    return output


def _external(net: Net) -> int:
    output = net.conv(net.input())
    net.model.externalBuffers = [schema.ExternalBufferT()]
    return output


def _text_input(net: Net) -> int:
    text = net.input((1,), "STRING")
    values = net.tensor("values", (1, 8))
    net.operator("CUSTOM", [text], [values])
    net.model.operatorCodes[0].customCode = b"Embed"
    return net.relu(values)


def _no_memory_holds(net: Net) -> int:
    output = net.conv(net.input())
    net.graph.tensors[0].shape = np.array([2**20, 2**14, 4, 8], np.int32)
    return output


def _flat_weights(net: Net) -> int:
    output = net.conv(net.input())
    net.graph.tensors[1].shape = np.array([8 * 3 * 3 * 8], np.int32)
    net.graph.tensors[1].quantization.scale = net.graph.tensors[1].quantization.scale[:1]
    net.graph.tensors[1].quantization.zeroPoint = net.graph.tensors[1].quantization.zeroPoint[:1]
    return output


def _nothing_from_inputs(net: Net) -> int:
    constant = net.constant(np.ones((1, 4, 4, 8), np.int8), scale=0.05)
    net.relu(constant)
    return net.input()


def _lost_metadata(net: Net) -> int:
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"min_runtime_version", 99
    net.model.metadata = [entry]
    return net.conv(net.input())


def _newer_operator(net: Net) -> int:
    output = net.conv(net.input())
    net.model.operatorCodes[0].version = 99
    return output


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_floats, "is a float model: operation 0 (CONV_2D) makes FLOAT32"),
        (_hybrid, "has quantised weights only (dynamic range quantisation): operation 0 (CONV_2D) makes FLOAT32"),
        (_floats_without_layers, "is not quantised"),
        (_compiled, "already compiled for the Edge TPU"),
        (_loop, "has control flow (WHILE)"),
        (_composite, "has composite operations (STABLEHLO_COMPOSITE)"),
        (_initialisation, "initialises variables (CALL_ONCE)"),
        (_dynamic_input, "'input_0' has the dynamic shape [1, -1, -1, 8]"),
        (_no_operations, "contains no operations"),
        (_no_outputs, "no inputs or no outputs"),
        (_uncomputed_output, "an output that no operation computes"),
        (_wrong_order, "operation 0 (RELU) reads 'relu_0'"),
        (_wrong_order_of_nothing, "operation 0 (RELU) reads 'relu_0'"),
        (_made_twice, "makes a tensor for the second time"),
        (_lost_weights, "operation 0 (CONV_2D) reads 'constant_1'"),
        (_external, "keeps weights in other files"),
        (_text_input, "'input_0' is of type STRING"),
        (_flat_weights, "has weights of shape [576] instead of 4 dimensions"),
        (_no_memory_holds, "has the shape [1048576, 16384, 4, 8], more than 2047 MiB (SEGSOLVE_MAX_TENSOR_MIB"),
        (_nothing_from_inputs, "computes nothing from its inputs"),
        (_lost_metadata, "is damaged or truncated"),
        (_newer_operator, "LiteRT cannot load"),
    ],
)
def test_models_that_cannot_be_segmented(tmp_path: Path, build: Callable[[Net], int], reason: str) -> None:
    net = Net()
    output = build(net)
    assert reason in refusal(net.write(tmp_path, *([output] if output >= 0 else [])))


@pytest.mark.parametrize("subgraphs", [None, []])
def test_a_file_without_a_subgraph_which_ends_the_process_in_litert_itself(
    tmp_path: Path, subgraphs: list[object] | None
) -> None:
    net = residual_net()
    net.model.subgraphs = subgraphs
    assert "contains no operations" in refusal(net.write(tmp_path))


def test_a_model_that_the_vendor_compiled() -> None:
    path = MODELS / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set SEGSOLVE_MODELS")
    assert "already compiled for the Edge TPU" in refusal(path)
