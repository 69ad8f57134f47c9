"""A seeded int8 network with a skip tensor, and its segments, as real .tflite files of a few kB.

::

    image -> CONV -> a -> RELU -> b | b -> CONV -> c -> RELU -> d | (a, d) -> ADD -> e; (e, bias) -> ADD -> f

Tensor a skips the middle stage, the input bias is needed by the last stage only, and the model returns f and,
made by the first stage, b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.runtime_plans import Sketch, make_plan
from segsolve.graph.flatbuffer import pack
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import Plan

SHAPE = [1, 4, 4, 8]
SCALE = 0.05
WEIGHT_SCALE = 0.002
INPUTS = ["image", "bias"]
OUTPUTS = ["f", "b"]


@dataclass(frozen=True, slots=True)
class Op:
    kind: str
    takes: tuple[str, ...]
    makes: str


OPS = (
    Op("CONV_2D", ("image",), "a"),
    Op("RELU", ("a",), "b"),
    Op("CONV_2D", ("b",), "c"),
    Op("RELU", ("c",), "d"),
    Op("ADD", ("a", "d"), "e"),
    Op("ADD", ("e", "bias"), "f"),
)


def whole_model() -> bytes:
    return segment(OPS, INPUTS, OUTPUTS)


def sketches() -> list[Sketch]:
    return [
        _sketch(OPS[:2], ["image"], ["a", "b"]),
        _sketch(OPS[2:4], ["b"], ["d"]),
        _sketch(OPS[4:], ["a", "d", "bias"], ["f"]),
    ]


def plan() -> Plan:
    tensors = dict.fromkeys("abdf", ("int8", SHAPE)) | dict.fromkeys(INPUTS, ("int8", SHAPE))
    return make_plan(sketches(), inputs=INPUTS, outputs=OUTPUTS, tensors=tensors)


def segment(ops: Sequence[Op], takes: Sequence[str], makes: Sequence[str]) -> bytes:
    """Return a .tflite file with `ops`, whose weights depend on the operations alone."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    kinds = sorted({op.kind for op in ops})
    model.operatorCodes = [_operator_code(schema, kind) for kind in kinds]
    names = list(dict.fromkeys([*takes, *(n for op in ops for n in (*op.takes, op.makes))]))
    graph.tensors = [_tensor(schema, name, SHAPE, schema.TensorType.INT8) for name in names]
    graph.inputs, graph.outputs = [names.index(n) for n in takes], [names.index(n) for n in makes]
    graph.operators = []
    for op in ops:
        operator = _operator(schema, op, kinds.index(op.kind))
        operator.inputs, operator.outputs = [names.index(n) for n in op.takes], [names.index(op.makes)]
        if op.kind == "CONV_2D":
            operator.inputs += _add_weights(schema, model, op.makes)
        graph.operators.append(operator)
    return pack(model)


def _sketch(ops: Sequence[Op], takes: Sequence[str], makes: Sequence[str]) -> Sketch:
    return Sketch(takes=takes, makes=makes, content=segment(ops, takes, makes))


def _operator_code(schema: Any, kind: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 3 if kind == "CONV_2D" else 2
    return code


def _operator(schema: Any, op: Op, code: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    if op.kind == "CONV_2D":
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        operator.builtinOptions = schema.Conv2DOptionsT()
        operator.builtinOptions.strideH = operator.builtinOptions.strideW = 1
    elif op.kind == "ADD":
        operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
        operator.builtinOptions = schema.AddOptionsT()
    return operator


def _tensor(schema: Any, name: str, shape: Sequence[int], kind: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), kind
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [SCALE], [0]
    return tensor


def _add_weights(schema: Any, model: Any, layer: str) -> list[int]:
    """Append a filter and a bias to the model; return the positions of their tensors."""
    generator = np.random.default_rng(ord(layer))
    filters = generator.integers(-127, 128, (8, 3, 3, 8), dtype=np.int8)
    biases = generator.integers(-999, 999, 8, dtype=np.int32)
    constants = (
        ("filters", filters, schema.TensorType.INT8, WEIGHT_SCALE),
        ("biases", biases, schema.TensorType.INT32, SCALE * WEIGHT_SCALE),
    )
    return [
        _add_constant(schema, model, f"{layer}/{name}", values, kind=kind, scale=scale)
        for name, values, kind, scale in constants
    ]


def _add_constant(schema: Any, model: Any, name: str, values: Array, *, kind: int, scale: float) -> int:
    buffer = schema.BufferT()
    buffer.data = values.reshape(-1).view(np.uint8)
    model.buffers.append(buffer)
    tensor = _tensor(schema, name, values.shape, kind)
    tensor.buffer, tensor.quantization.scale = len(model.buffers) - 1, [scale]
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1
