"""Tensors as numpy sees them, and the plan's descriptions of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segsolve_runtime.contract.limits import TENSOR
from segsolve_runtime.contract.plan import Plan, TensorSpec
from segsolve_runtime.errors import PlanError

Array: TypeAlias = NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]
Frame: TypeAlias = Mapping[str, Array] | Array

_DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """What an array must be to stand for a tensor."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"


def array_specs(plan: Plan) -> dict[str, ArraySpec]:
    """Return the specification of every tensor of `plan` by name.

    Raises:
        PlanError: a tensor has an element type that numpy cannot hold, a negative dimension, more bytes than the limit,
            or values that its type cannot have.
    """
    return {tensor.name: _array_spec(tensor) for tensor in plan.tensors}


def tensor_specs(tensors: Iterable[TensorSpec]) -> tuple[ArraySpec, ...]:
    """Return the specifications of tensors (PlanError as for `array_specs`)."""
    return tuple(_array_spec(tensor) for tensor in tensors)


def select(specs: Mapping[str, ArraySpec], names: Iterable[str]) -> tuple[ArraySpec, ...]:
    """Return the specifications of `names`, in their order."""
    return tuple(specs[name] for name in names)


def misfit(spec: ArraySpec, found: object) -> TypeError:
    """Return the error of a runner that made something else than an array like `spec`."""
    if not isinstance(found, np.ndarray):
        return TypeError(f"the runner made {spec.name!r} as a {type(found).__name__}, not an array")
    return TypeError(f"the runner made {spec.name!r} as {found.dtype} of shape {found.shape}, not {spec}")


def _array_spec(tensor: TensorSpec) -> ArraySpec:
    if tensor.dtype not in _DTYPES:
        raise PlanError(f"the plan's tensor {tensor.name!r} has the unknown element type {tensor.dtype!r}")
    if min(tensor.shape, default=0) < 0:
        raise PlanError(f"the plan's tensor {tensor.name!r} has the shape {tensor.shape}, which is not fixed")
    spec = ArraySpec(name=tensor.name, dtype=_DTYPES[tensor.dtype], shape=tuple(tensor.shape))
    if spec.dtype.itemsize * prod(max(1, size) for size in spec.shape) > TENSOR.most_bytes:
        raise PlanError(f"the plan's tensor {tensor.name!r}, {spec}, is larger than {TENSOR.said()}")
    _check_values(tensor, spec.dtype)
    return spec


def _check_values(tensor: TensorSpec, dtype: np.dtype[Any]) -> None:
    """Check that the values that a tensor may have are of its type."""
    named = [value for value in (tensor.low, tensor.high, *(tensor.values or ())) if value is not None]
    if not named:
        return
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if limits is None or min(named) < limits.min or max(named) > limits.max:
        raise PlanError(f"the plan's tensor {tensor.name!r} is limited to values that {dtype} has not")
    if tensor.values == [] or (tensor.low is not None and tensor.high is not None and tensor.low > tensor.high):
        raise PlanError(f"the plan's tensor {tensor.name!r} may have no value at all")
