"""Which models can be segmented; each rule's docstring is its reason."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from segsolve.errors import ModelError
from segsolve.graph.macs import MAC_KINDS, WEIGHTS_RANK
from segsolve.graph.model import ELEMENT_BITS, QUANTISED_TYPES
from segsolve.graph.restrictions import MOVABLE_TYPES
from segsolve.graph.schema import has_scale, operator_kind, tensor_type
from segsolve_runtime.contract.limits import OPERATIONS, TENSOR

_EDGE_TPU_CUSTOM_OP = b"edgetpu-custom-op"
_QUANTISE_HINT = "quantise weights and activations to int8 (full-integer post-training quantisation) first"


def check_segmentable(model: Any, name: str) -> None:
    """Raise a ModelError for a model that no plan can be made for."""
    for rule in _RULES:
        rule(model, name)


def _has_operations(model: Any, name: str) -> None:
    """A model has a subgraph with operations, inputs and outputs."""
    subgraph = (model.subgraphs or [None])[0]
    if subgraph is None or not subgraph.operators or not subgraph.tensors:
        raise ModelError(f"{name} contains no operations", "export the model again")
    if any(ends is None or not len(ends) for ends in (subgraph.inputs, subgraph.outputs)):
        raise ModelError(f"{name} has no inputs or no outputs", "export the model again")


def _has_not_too_many(model: Any, name: str) -> None:
    """The solver's tables grow with the square of the operations."""
    if (count := len(model.subgraphs[0].operators)) > OPERATIONS.most:
        raise ModelError(f"{name} has {count} operations, more than {OPERATIONS.said()}")


def _has_computed_outputs(model: Any, name: str) -> None:
    """Every output is computed by an operation, or is an input or a constant handed through."""
    subgraph = model.subgraphs[0]
    made = {int(t) for o in subgraph.operators for t in o.outputs} | {int(t) for t in subgraph.inputs}
    if any(int(t) not in made and not _has_data(model, subgraph.tensors[t]) for t in subgraph.outputs):
        raise ModelError(f"{name} has an output that no operation computes", "export the model again")


def _is_in_execution_order(model: Any, name: str) -> None:
    """Operations read what the model is given, what the file holds, or what one earlier operation made."""
    subgraph = model.subgraphs[0]
    known = {int(t) for t in subgraph.inputs} | {-1}
    to_come = {int(t) for operator in subgraph.operators for t in operator.outputs}
    known |= {i for i, tensor in enumerate(subgraph.tensors) if _needs_no_maker(model, tensor, made=i in to_come)}
    made: set[int] = set()
    for index, operator in enumerate(subgraph.operators):
        if unknown := [int(t) for t in operator.inputs if int(t) not in known]:
            tensor = _shown(subgraph, unknown[0])
            raise ModelError(
                f"{name}: operation {index} ({operator_kind(model, operator)}) reads {tensor}, which no operation "
                "makes before and the file has no data for",
                "export the model again",
            )
        makes = {int(t) for t in operator.outputs}
        if given := [t for t in makes if t in subgraph.inputs or _has_data(model, subgraph.tensors[t])]:
            tensor = _shown(subgraph, given[0])
            raise ModelError(
                f"{name}: operation {index} ({operator_kind(model, operator)}) makes {tensor}, which is given to it "
                "or the file has data for",
                "export the model again",
            )
        if made & makes:
            raise ModelError(f"{name}: operation {index} makes a tensor for the second time", "export the model again")
        made |= makes
        known |= makes


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _needs_no_maker(model: Any, tensor: Any, *, made: bool) -> bool:
    return _has_data(model, tensor) or tensor.isVariable or (prod(_dimensions(tensor)) == 0 and not made)


def _is_not_compiled(model: Any, name: str) -> None:
    """A model that edgetpu_compiler has already compiled is opaque: segment it before compiling."""
    if any(code.customCode == _EDGE_TPU_CUSTOM_OP for code in model.operatorCodes or []):
        raise ModelError(
            f"{name} is already compiled for the Edge TPU, so its layers cannot be seen",
            "give the quantised .tflite that was compiled, usually the same name without _edgetpu",
        )


def _has_fixed_inputs(model: Any, name: str) -> None:
    """Input sizes other than the batch must be fixed; an open batch is frozen to the file's own, 1."""
    subgraph = model.subgraphs[0]
    for index in subgraph.inputs:
        tensor = subgraph.tensors[index]
        signature = [int(n) for n in tensor.shapeSignature] if tensor.shapeSignature is not None else []
        if any(n < 0 for n in signature[1:]):
            raise ModelError(
                f"{name}: the input {_shown(subgraph, index)} has the dynamic shape {signature}",
                "export the model with a fixed input size",
            )


def _has_numeric_ends(model: Any, name: str) -> None:
    """The host hands over inputs and takes outputs as arrays of numbers."""
    subgraph = model.subgraphs[0]
    for index in (*subgraph.inputs, *subgraph.outputs):
        if (kind := tensor_type(subgraph.tensors[index])) not in MOVABLE_TYPES:
            raise ModelError(
                f"{name}: the input or output {_shown(subgraph, index)} is of type {kind}, which no array can hold",
                "export the model with inputs and outputs of 8, 16, 32 or 64 bits",
            )


def _has_whole_layers(model: Any, name: str) -> None:
    """Layers that multiply and accumulate have weights of as many dimensions as their kernels expect."""
    subgraph = model.subgraphs[0]
    for index, operator in enumerate(subgraph.operators):
        kind = operator_kind(model, operator)
        if kind not in WEIGHTS_RANK:
            continue
        place = int(operator.inputs[1]) if len(operator.inputs) > 1 else -1
        shape = _dimensions(subgraph.tensors[place]) if place >= 0 else []
        if len(shape) != WEIGHTS_RANK[kind] or not len(operator.outputs):
            raise ModelError(
                f"{name}: operation {index} ({kind}) has weights of shape {shape} instead of {WEIGHTS_RANK[kind]} "
                "dimensions, or no output",
                "export the model again",
            )


def _shown(subgraph: Any, index: int) -> str:
    return repr((subgraph.tensors[index].name or b"").decode(errors="replace") or f"tensor {index}")


def _dimensions(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(n) for n in tensor.shape]


def _has_tensors_that_fit(model: Any, name: str) -> None:
    """LiteRT takes the memory of a tensor when it looks at the file, and may fill it."""
    subgraph = model.subgraphs[0]
    for index in dict.fromkeys([*subgraph.inputs, *(t for o in subgraph.operators for t in o.outputs)]):
        tensor = subgraph.tensors[index]
        nbytes = prod(_dimensions(tensor)) * ELEMENT_BITS.get(tensor_type(tensor), 8) // 8
        if nbytes > TENSOR.most_bytes:
            raise ModelError(
                f"{name}: {_shown(subgraph, index)} has the shape {_dimensions(tensor)}, more than {TENSOR.said()}",
                "export the model again",
            )


def _is_quantised(model: Any, name: str) -> None:
    """Edge TPUs compute on quantised integers: layers that compute in floating point are refused."""
    subgraph = model.subgraphs[0]
    for index, operator in enumerate(subgraph.operators):
        kind = operator_kind(model, operator)
        makes = [tensor_type(subgraph.tensors[t]) for t in operator.outputs]
        if kind not in MAC_KINDS or not makes or "FLOAT" not in makes[0]:
            continue
        where = f"operation {index} ({kind}) makes {makes[0]}"
        reads = [tensor_type(subgraph.tensors[t]) for t in operator.inputs if t >= 0]
        if len(reads) > 1 and reads[1] in QUANTISED_TYPES:
            raise ModelError(
                f"{name} has quantised weights only (dynamic range quantisation): {where} from {reads[1]} weights",
                "quantise the activations too: full-integer post-training quantisation with a representative dataset",
            )
        raise ModelError(f"{name} is a float model: {where}", _QUANTISE_HINT)
    if not any(has_scale(t) and tensor_type(t) in QUANTISED_TYPES for t in subgraph.tensors):
        raise ModelError(f"{name} is not quantised: no tensor has integer values with a scale", _QUANTISE_HINT)


_RULES: tuple[Callable[[Any, str], None], ...] = (
    _has_operations,
    _has_not_too_many,
    _has_computed_outputs,
    _is_not_compiled,
    _is_in_execution_order,
    _has_fixed_inputs,
    _has_numeric_ends,
    _has_whole_layers,
    _has_tensors_that_fit,
    _is_quantised,
)
