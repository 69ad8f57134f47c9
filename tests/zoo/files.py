"""What the tests read from a written file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

Content = Callable[[str], bytes]  # the fixture ``content``
Model = Callable[[str], Any]  # the fixture ``model``

OPERATORS: dict[int, str] = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def operator_name(model: Any, operator: Any) -> str:
    return OPERATORS[model.operatorCodes[operator.opcodeIndex].builtinCode]


def is_constant(model: Any, tensor: Any) -> bool:
    return model.buffers[tensor.buffer].data is not None


def is_quantised(tensor: Any) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None


def activations(model: Any, indices: Any) -> list[Any]:
    tensors = model.subgraphs[0].tensors
    return [tensors[i] for i in indices if not is_constant(model, tensors[i])]
