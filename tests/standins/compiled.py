"""Segments as the stand-ins have them: one operator "edgetpu-custom-op" that holds the segment it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from segsolve.graph.flatbuffer import pack

MAGIC = b"STANDIN"
RUNTIME_VERSION = 14


def compiled(segment: bytes, runtime_version: int = RUNTIME_VERSION) -> bytes:
    """Return what the stand-in compiler makes of a segment: the same inputs and outputs around one custom operator."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(segment), 0)
    (graph,) = model.subgraphs
    inputs, outputs = [int(i) for i in graph.inputs], [int(i) for i in graph.outputs]
    order = {old: new for new, old in enumerate(dict.fromkeys([*inputs, *outputs]))}
    graph.tensors = [_bare(graph.tensors[old]) for old in order]
    graph.inputs, graph.outputs = [order[i] for i in inputs], [order[i] for i in outputs]
    graph.operators = [_operator(graph, MAGIC + bytes([runtime_version]) + segment)]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = b"edgetpu-custom-op", 1
    model.operatorCodes, model.buffers, model.metadata = [code], [schema.BufferT()], None
    return bytes(pack(model))


def _bare(tensor: Any) -> Any:
    tensor.buffer = 0
    return tensor


def _operator(graph: Any, options: bytes) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, graph.inputs, graph.outputs
    operator.customOptions = np.frombuffer(options, np.uint8)
    return operator
