"""Names for the schema's numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def operator_kind(model: Any, operator: Any) -> str:
    """Return the schema's name of an operator's kind; for custom operators ``CUSTOM:<name>``."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Kinds above 127 are stored in builtinCode only, older files use deprecatedBuiltinCode only.
    kind = _builtin_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM:{(code.customCode or b'').decode(errors='replace')}" if kind == "CUSTOM" else kind


def tensor_type(tensor: Any) -> str:
    """Return the schema's name of a tensor's element type, e.g. ``INT8``."""
    return _type_names()[tensor.type]


def has_scale(tensor: Any) -> bool:
    """Whether a tensor carries affine quantisation parameters, of scales that are numbers."""
    parameters = tensor.quantization
    scales = parameters.scale if parameters is not None and parameters.scale is not None else ()
    return len(scales) > 0 and bool(np.isfinite(scales).all())


def refers_to_subgraphs(operator: Any) -> bool:
    """Whether an operator runs other subgraphs of the file: control flow, initialisation, composites."""
    both = (operator.builtinOptions, operator.builtinOptions2)
    return any("subgraph" in name.lower() for options in both if options is not None for name in vars(options))


@cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}


@cache
def _type_names() -> dict[int, str]:
    from ai_edge_litert.schema_py_generated import TensorType

    return {value: name for name, value in vars(TensorType).items() if isinstance(value, int)}
