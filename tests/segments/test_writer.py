"""What is in a segment's file, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from segsolve.graph.flatbuffer import ALIGNMENT, unpack
from segsolve.graph.read import LoadedModel
from segsolve.segments.writer import segment_bytes, segment_of, segments_of
from tests.models import Net, residual_net

from .networks import SHAPE, branches, constants_on_the_way, odd_ends, open_batch


def written(loaded: LoadedModel, *cuts: int) -> list[Any]:
    segments = segments_of(loaded.graph, cuts)
    return [unpack(segment_bytes(loaded, segment), Path(f"segment {k}")) for k, segment in enumerate(segments)]


def names(model: Any, indices: Any = None) -> list[str]:
    tensors = model.subgraphs[0].tensors
    return [tensors[i].name.decode() for i in (range(len(tensors)) if indices is None else indices)]


def kinds(model: Any) -> list[int]:
    return [model.operatorCodes[o.opcodeIndex].builtinCode for o in model.subgraphs[0].operators]


def test_a_segment_takes_and_makes_what_crosses_its_borders_in_order(tmp_path: Path) -> None:
    loaded = residual_net().load(tmp_path)
    segments = segments_of(loaded.graph, (3, 8))
    assert [s.ops for s in segments] == [(0, 1, 2), (3, 4, 5, 6, 7), (8, 9, 10)]
    ends = [[[loaded.graph.tensors[t].name for t in e] for e in (s.inputs, s.outputs)] for s in segments]
    assert ends == [
        [["input_0"], ["conv_2d_0", "depthwise_conv_2d_2", "relu_1"]],  # the output comes last
        [["conv_2d_0", "relu_1", "depthwise_conv_2d_2"], ["concatenation_7"]],
        [["input_1", "concatenation_7"], ["fully_connected_10"]],
    ]
    for model, (takes, makes) in zip(written(loaded, 3, 8), ends, strict=True):
        graph = model.subgraphs[0]
        assert names(model, graph.inputs) == takes
        assert names(model, graph.outputs) == makes


def test_a_segment_holds_what_its_operations_need_and_nothing_else(tmp_path: Path) -> None:
    net = residual_net()
    net.tensor("unused", (7,))
    net.constant(np.ones(1000, np.int8), scale=1)  # unused, too
    loaded = net.load(tmp_path)
    first, second = written(loaded, 4)
    assert len(first.subgraphs[0].tensors) + len(second.subgraphs[0].tensors) == 26 + 2  # two of them in both
    assert set(names(first)) & set(names(second)) == {"add_3", "relu_1"}
    assert [len(m.operatorCodes) for m in (first, second)] == [4, 6]
    assert len(first.buffers) == 1 + 4
    assert first.buffers[0].data is None
    whole = {t.name: t for t in loaded.model.subgraphs[0].tensors}
    for model in (first, second):
        for tensor in model.subgraphs[0].tensors:
            source = whole[tensor.name]
            assert (tensor.type, list(tensor.shape)) == (source.type, list(source.shape))
            np.testing.assert_array_equal(model.buffers[tensor.buffer].data, loaded.model.buffers[source.buffer].data)
            if source.quantization is not None:
                np.testing.assert_array_equal(tensor.quantization.scale, source.quantization.scale)
                assert tensor.quantization.quantizedDimension == source.quantization.quantizedDimension


def test_operator_versions_and_options_are_kept(tmp_path: Path) -> None:
    loaded = residual_net().load(tmp_path)
    (_, concat, _) = written(loaded, 7, 8)
    (code,), (operator,) = concat.operatorCodes, concat.subgraphs[0].operators
    assert (code.builtinCode, code.version) == (schema.BuiltinOperator.CONCATENATION, 2)
    assert operator.builtinOptions.axis == 3


def test_a_constant_of_two_segments_is_in_both(tmp_path: Path) -> None:
    loaded = branches().load(tmp_path)
    factor = next(op for op in loaded.graph.ops if op.kind == "MUL").constants[0]
    name = loaded.graph.tensors[factor].name
    models = written(loaded, 5)
    assert all(name in names(model) for model in models)
    assert all(name not in names(model, model.subgraphs[0].inputs) for model in models)


def test_operators_on_constants_go_with_their_consumers(tmp_path: Path) -> None:
    loaded = constants_on_the_way().load(tmp_path)
    assert [op.kind for op in loaded.graph.ops] == ["CONV_2D", "ADD", "DEQUANTIZE", "ADD", "RELU", "MUL"]
    of = schema.BuiltinOperator
    assert [kinds(model) for model in written(loaded, *loaded.graph.cuts)] == [
        [of.CONV_2D], [of.DEQUANTIZE, of.QUANTIZE, of.ADD], [of.DEQUANTIZE], [of.DEQUANTIZE, of.ADD], [of.RELU],
        [of.DEQUANTIZE, of.MUL],
    ]  # fmt: skip


def test_all_buffers_are_aligned(tmp_path: Path) -> None:
    loaded = residual_net().load(tmp_path)
    for segment in segments_of(loaded.graph, (2, 5)):
        content = segment_bytes(loaded, segment)
        start = np.frombuffer(content, np.uint8).ctypes.data
        model = schema.Model.GetRootAs(content, 0)
        full = [b for b in map(model.Buffers, range(model.BuffersLength())) if not b.DataIsNone()]
        assert full
        assert all((b.DataAsNumpy().ctypes.data - start) % ALIGNMENT == 0 for b in full)


def test_only_the_runtime_version_is_kept_of_the_metadata(tmp_path: Path) -> None:
    net = residual_net()
    net.model.metadata = []
    for name, text in (
        (b"TFLITE_METADATA", b"labels"),
        (b"min_runtime_version", b"1.14.0"),
        (b"CONVERSION_METADATA", b"x"),
    ):
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, net.buffer(np.frombuffer(text, np.uint8))
        net.model.metadata.append(entry)
    for model in written(net.load(tmp_path), 4):
        (entry,) = model.metadata
        assert entry.name == b"min_runtime_version"
        assert model.buffers[entry.buffer].data.tobytes() == b"1.14.0"


def test_names_are_those_of_the_graph(tmp_path: Path) -> None:
    loaded = odd_ends().load(tmp_path)
    known = {t.name for t in loaded.graph.tensors}
    for model in written(loaded, 1, 3):
        assert set(names(model)) <= known
        assert len(set(names(model))) == len(names(model))


def test_open_sizes_are_written_as_they_are_inferred(tmp_path: Path) -> None:
    net = open_batch()
    inner = net.graph.tensors[net.graph.operators[5].outputs[0]]
    inner.shapeSignature = np.array([-1, -1, 4, 8], np.int32)
    loaded = net.load(tmp_path)
    assert 6 in loaded.graph.cuts
    tensors = [t for model in written(loaded, 3, 6) for t in model.subgraphs[0].tensors]
    assert [t.name for t in tensors if t.shapeSignature is not None] == []


def test_absent_inputs_and_intermediates_are_renumbered(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input())
    scratch = net.tensor("scratch", SHAPE)
    out = net.tensor("out", SHAPE)
    operator = net.operator("CUSTOM", [x, -1, x], [out])
    operator.intermediates = [scratch]
    net.model.operatorCodes[-1].customCode = b"Cell"
    _, model, _ = written(net.load(tmp_path, net.relu(out)), 1, 2)
    (cell,) = model.subgraphs[0].operators
    assert [names(model)[n] if n >= 0 else None for n in cell.inputs] == ["relu_0", None, "relu_0"]
    assert names(model, cell.intermediates) == ["scratch"]
    assert names(model, cell.outputs) == ["out"]
    assert model.operatorCodes[cell.opcodeIndex].customCode == b"Cell"


def test_options_of_a_custom_operator_are_kept(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input())
    out = net.tensor("out", SHAPE)
    operator = net.operator("CUSTOM", [x], [out])
    operator.customOptions = np.arange(100, dtype=np.uint8)
    net.model.operatorCodes[-1].customCode = b"Cell"
    _, model = written(net.load(tmp_path, out), 1)
    np.testing.assert_array_equal(model.subgraphs[0].operators[0].customOptions, np.arange(100))


def test_a_variable_stays_one(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input())
    state = net.tensor("state", SHAPE, isVariable=True)
    _, model = written(net.load(tmp_path, net.add(x, state)), 1)
    assert [t.name for t in model.subgraphs[0].tensors if t.isVariable] == [b"state"]
    assert names(model, model.subgraphs[0].inputs) == ["relu_0"]


def test_cutting_leaves_the_loaded_model_as_it_was(tmp_path: Path) -> None:
    loaded = constants_on_the_way().load(tmp_path)
    before = [segment_bytes(loaded, s) for s in segments_of(loaded.graph, (2,))]
    written(loaded, 1, 3, 4)
    assert [segment_bytes(loaded, s) for s in segments_of(loaded.graph, (2,))] == before


def test_a_segment_need_not_be_one_range(tmp_path: Path) -> None:
    loaded = branches().load(tmp_path)
    graph = loaded.graph
    odd, even = (segment_of(graph, range(first, len(graph.ops), 2)) for first in (1, 0))
    made = {t for op in even.ops for t in graph.ops[op].outputs}
    assert {t for t in odd.inputs if t not in graph.inputs} == {
        t for t in made if any(op in odd.ops for op in graph.consumers.get(t, ()))
    }
    assert set(even.outputs) == made & {*odd.inputs, *graph.outputs}
    model = unpack(segment_bytes(loaded, odd), Path("odd"))
    assert list(model.subgraphs[0].inputs) == list(range(len(odd.inputs)))
    assert len(model.subgraphs[0].operators) == len(odd.ops)


def test_what_most_kernels_never_look_at_may_be_out_of_range(tmp_path: Path) -> None:
    """LiteRT runs such a model: it has no use for the intermediates of a convolution."""
    net = residual_net()
    net.graph.operators[0].intermediates = [10**6, 2]
    model, *_ = written(net.load(tmp_path), 3)
    first, second = model.subgraphs[0].operators[0].intermediates
    assert first == -1 and names(model, [second]) == [net.graph.tensors[2].name.decode()]
