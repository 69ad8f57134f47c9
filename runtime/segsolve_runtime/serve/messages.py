"""An inference as HTTP has it: a JSON document, and the tensors' bytes behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import InputError
from segsolve_runtime.serve.models import VERSION, ServedModel
from segsolve_runtime.serve.tensors import by_name, datatype, from_bytes, from_list, to_bytes

LENGTH_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """What was asked: inputs by name, outputs and whether each is to come as bytes, and a time limit in seconds."""

    id: str | None
    inputs: Mapping[str, Array]
    outputs: Mapping[str, bool]
    timeout_s: float | None


def read_request(model: ServedModel, body: bytes, json_length: int | None) -> InferRequest:
    """Return what a body asks for; the first `json_length` bytes are JSON, or all.

    Raises:
        InputError: it is not valid, or not what the model takes.
    """
    length = len(body) if json_length is None else json_length
    if not 0 <= length <= len(body):
        raise InputError(f"{LENGTH_HEADER} is {length}, but the body has {len(body)} bytes")
    try:
        document = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError("the request is no JSON object")
    inputs, rest = {}, memoryview(body)[length:]
    for tensor in _objects(document, "inputs"):
        spec = by_name(model.inputs, tensor.get("name"))
        kind, shape = str(tensor.get("datatype")), _shape(tensor)
        size = _parameters(tensor).get("binary_data_size")
        if size is None:
            inputs[spec.name] = from_list(spec, kind, shape, tensor.get("data"))
        else:
            if not isinstance(size, int) or not 0 <= size <= len(rest):
                raise InputError(f"the input {spec.name!r} says it has {size} bytes; the body has {len(rest)} left")
            inputs[spec.name], rest = from_bytes(spec, kind, shape, rest[:size]), rest[size:]
    if len(rest):
        raise InputError(f"the body has {len(rest)} bytes that belong to no input")
    parameters = _parameters(document)
    timeout_us = parameters.get("timeout")
    if timeout_us is not None and not (isinstance(timeout_us, int) and 0 <= timeout_us < 2**63):
        raise InputError(f"the parameter timeout is {timeout_us!r}; it is a number of microseconds")
    return InferRequest(
        id=document.get("id"),
        inputs=inputs,
        outputs=_outputs(model, document, parameters.get("binary_data_output") is True),
        timeout_s=timeout_us / 1e6 if timeout_us else None,
    )


def write_response(model: ServedModel, request: InferRequest, result: Result) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how much of it is JSON if not all."""
    described, blobs = [], []
    for name, is_binary in request.outputs.items():
        spec = model.outputs[name]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype(spec), "shape": list(spec.shape)}
        if is_binary:
            blobs.append(to_bytes(result[name]))
            tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            tensor["data"] = result[name].reshape(-1).tolist()
        described.append(tensor)
    document = {"model_name": model.name, "model_version": VERSION, "outputs": described}
    text = json.dumps(document if request.id is None else document | {"id": request.id}).encode()
    return b"".join([text, *blobs]), len(text) if blobs else None


def _outputs(model: ServedModel, document: Mapping[str, Any], as_bytes: bool) -> dict[str, bool]:
    if "outputs" not in document:
        return dict.fromkeys(model.outputs, as_bytes)
    wanted = {}
    for tensor in _objects(document, "outputs"):
        name = tensor.get("name")
        if not isinstance(name, str) or name not in model.outputs:
            raise InputError(f"the model has no output {name!r}; it makes {[*model.outputs]}")
        wanted[name] = bool(_parameters(tensor).get("binary_data", as_bytes))
    return wanted or dict.fromkeys(model.outputs, as_bytes)


def _objects(document: Mapping[str, Any], member: str) -> Sequence[Mapping[str, Any]]:
    found = document.get(member, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"the request's {member} are no list of objects")
    return found


def _parameters(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("parameters", {})
    if not isinstance(found, dict):
        raise InputError("the request has parameters that are no object")
    return found


def _shape(tensor: Mapping[str, Any]) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise InputError(f"the input {tensor.get('name')!r} has the shape {shape!r}; it is a list of integers")
    return shape
