"""Tensors as the protocol has them: type names, JSON lists, little-endian bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from segsolve_runtime.contract.arrays import Array, ArraySpec
from segsolve_runtime.errors import InputError

DATATYPES = {
    np.dtype(name): datatype
    for name, datatype in (
        ("bool", "BOOL"),
        *((f"{sign}int{bits}", f"{sign.upper()}INT{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *((f"float{bits}", f"FP{bits}") for bits in (16, 32, 64)),
    )
}


def datatype(spec: ArraySpec) -> str:
    """Return the protocol's name of an element type."""
    return DATATYPES[spec.dtype]


def tensor_metadata(spec: ArraySpec) -> dict[str, Any]:
    """Return a tensor's description as model metadata have it."""
    return {"name": spec.name, "datatype": datatype(spec), "shape": list(spec.shape)}


def from_bytes(spec: ArraySpec, kind: str, shape: list[int], data: bytes | memoryview) -> Array:
    """Return the array that little-endian bytes stand for.

    Raises:
        InputError: it is not what the model takes.
    """
    _check(spec, kind, shape)
    expected = spec.dtype.itemsize * int(np.prod(spec.shape))
    if len(data) != expected:
        raise InputError(f"the input {spec.name!r} has {len(data)} bytes; {kind} of shape {shape} has {expected}")
    return np.frombuffer(data, spec.dtype.newbyteorder("<")).astype(spec.dtype, copy=False).reshape(spec.shape)


def from_list(spec: ArraySpec, kind: str, shape: list[int], data: Any) -> Array:
    """Return the array that a flat or nested list of numbers stands for.

    Raises:
        InputError: it is not what the model takes, or a number is none of its type's.
    """
    _check(spec, kind, shape)
    try:
        given = np.asarray(data)
    except ValueError:
        raise InputError(f"the data of the input {spec.name!r} are lists of different lengths") from None
    if given.size != int(np.prod(spec.shape)):
        raise InputError(f"the input {spec.name!r} has {given.size} numbers; shape {shape} has {np.prod(spec.shape)}")
    if given.dtype.kind not in {"b": "b", "i": "iub", "u": "iub", "f": "fiu"}[spec.dtype.kind]:
        raise InputError(f"the data of the input {spec.name!r} are not all numbers of {kind}")
    if spec.dtype.kind in "iu" and given.dtype.kind in "iu":
        limits = np.iinfo(spec.dtype)
        if given.min(initial=0) < limits.min or given.max(initial=0) > limits.max:
            raise InputError(f"the input {spec.name!r} has a number that {kind} cannot hold")
    return given.astype(spec.dtype).reshape(spec.shape)


def to_bytes(array: Array) -> bytes:
    """Return an array as little-endian bytes."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def by_name(specs: Mapping[str, ArraySpec], name: Any) -> ArraySpec:
    """Return an input's specification (InputError if the model has none of the name)."""
    if not isinstance(name, str) or name not in specs:
        raise InputError(f"the model has no input {name!r}; it takes {[*specs]}")
    return specs[name]


def _check(spec: ArraySpec, kind: str, shape: list[int]) -> None:
    if (kind, shape) != (datatype(spec), list(spec.shape)):
        raise InputError(
            f"the input {spec.name!r} is {kind} of shape {shape}, "
            f"but the model takes {datatype(spec)} of shape {list(spec.shape)}"
        )
