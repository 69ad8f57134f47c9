"""Frames: the check of those that a user gives, and random ones for tests and measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from segsolve_runtime.contract.arrays import Array, ArraySpec, Frame, array_specs, select
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.errors import InputError


def frame_tensors(
    frame: Frame, specs: Sequence[ArraySpec], number: int | None = None, *, copy: bool = True
) -> dict[str, Array]:
    """Return a frame's arrays by input name, or copies of them, which let the caller reuse its buffers.

    Errors name the frame by its `number`, if it has one.

    Raises:
        InputError: an input is missing, unknown, or of another element type or shape than its specification.
    """
    named = _by_name(frame, specs, number)
    _check_names(named, specs, number)
    for spec in specs:
        _check_array(named[spec.name], spec, number)
    if not copy:
        return {spec.name: np.asarray(named[spec.name], order="C") for spec in specs}
    return {spec.name: np.array(named[spec.name], order="C") for spec in specs}


def random_frames(plan: Plan, count: int, seed: int) -> Iterator[dict[str, Array]]:
    """Yield `count` frames of seeded noise, the same for the same seed; see `random_array`.

    Raises:
        PlanError: an input has an element type that numpy cannot hold.
    """
    inputs = [(spec, plan.tensor(spec.name)) for spec in select(array_specs(plan), plan.inputs)]
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield {
            spec.name: random_array(generator, spec.dtype, spec.shape, low=t.low, high=t.high, values=t.values)
            for spec, t in inputs
        }


def random_array(
    generator: np.random.Generator,
    dtype: np.dtype[Any],
    shape: Sequence[int],
    *,
    low: int | None = None,
    high: int | None = None,
    values: Sequence[int] | None = None,
) -> Array:
    """Return noise: integers from `low` to `high`, else over the whole range of their type; floats standard normal.

    Where only certain `values` make sense, an array of these.
    """
    if values is not None:
        return np.resize(np.array(values, dtype), shape)
    if dtype.kind == "f":
        return np.asarray(generator.standard_normal(shape)).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(generator.integers(0, 2, size=shape)).astype(dtype)
    limits = np.iinfo(dtype)
    least, most = limits.min if low is None else low, limits.max if high is None else high
    return np.asarray(generator.integers(least, most, size=shape, dtype=dtype, endpoint=True))


def _by_name(frame: Frame, specs: Sequence[ArraySpec], number: int | None) -> Mapping[str, Array]:
    if isinstance(frame, Mapping):
        return frame
    if not isinstance(frame, np.ndarray):
        raise InputError(f"{_frame(number)} is a {type(frame).__name__}; give an array, or a mapping of arrays")
    if len(specs) != 1:
        names = [spec.name for spec in specs]
        raise InputError(f"{_frame(number)} is a bare array, but the model takes {len(specs)} inputs: {names}")
    return {specs[0].name: frame}


def _check_names(named: Mapping[str, Array], specs: Sequence[ArraySpec], number: int | None) -> None:
    expected = [spec.name for spec in specs]
    if missing := [name for name in expected if name not in named]:
        raise InputError(f"{_frame(number)} lacks the input {missing[0]!r}; the model takes {expected}")
    if unknown := [name for name in named if name not in expected]:
        raise InputError(f"{_frame(number)} has the unknown input {unknown[0]!r}; the model takes {expected}")


def _check_array(array: Array, spec: ArraySpec, number: int | None) -> None:
    where = f"{_frame(number)}: the input {spec.name!r}"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{where} is a {type(array).__name__}; give an array")
    if (array.dtype, array.shape) != (spec.dtype, spec.shape):
        raise InputError(f"{where} is {array.dtype} of shape {array.shape}, but the model takes {spec}")


def _frame(number: int | None) -> str:
    return "the frame" if number is None else f"frame {number}"
