"""Mends what LiteRT's kernels do not take, though the file says it: int8 before TFLite_Detection_PostProcess.

The kernel (kernels/detection_postprocess.cc) takes uint8 and float32 only, and fails when it runs. A DEQUANTIZE before
it changes no number: the kernel itself dequantises.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from segsolve.graph.schema import operator_kind, tensor_type

_KIND = "CUSTOM:TFLite_Detection_PostProcess"


def mend(model: Any) -> bool:
    """Put a DEQUANTIZE before every int8 input of a post-processing in a model's subgraph; say if there was one."""
    subgraph, mended = model.subgraphs[0], list[Any]()
    for operator in subgraph.operators:
        if operator_kind(model, operator) == _KIND:
            operator.inputs = np.array(
                [_real(model, int(t), mended) if _is_int8(subgraph, int(t)) else int(t) for t in operator.inputs],
                np.int32,
            )
        mended.append(operator)
    is_changed = len(mended) > len(subgraph.operators)
    subgraph.operators = mended
    return is_changed


def _is_int8(subgraph: Any, tensor: int) -> bool:
    return 0 <= tensor < len(subgraph.tensors) and tensor_type(subgraph.tensors[tensor]) == "INT8"


def _real(model: Any, tensor: int, operators: list[Any]) -> int:
    """Append the operator that makes real numbers of a tensor, and return what it makes."""
    from ai_edge_litert import schema_py_generated as schema

    subgraph = model.subgraphs[0]
    real = copy(subgraph.tensors[tensor])
    real.name, real.type, real.buffer, real.quantization = (
        (real.name or b"") + b"/real",
        schema.TensorType.FLOAT32,
        0,
        None,
    )
    subgraph.tensors = [*subgraph.tensors, real]
    operator = schema.OperatorT()
    operator.opcodeIndex = _code(model, schema)
    operator.inputs = np.array([tensor], np.int32)
    operator.outputs = np.array([len(subgraph.tensors) - 1], np.int32)
    operators.append(operator)
    return len(subgraph.tensors) - 1


def _code(model: Any, schema: Any) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    model.operatorCodes = [*model.operatorCodes, code]
    return len(model.operatorCodes) - 1
