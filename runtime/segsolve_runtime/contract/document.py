"""The one serialiser: values as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import singledispatch
from pathlib import PurePath
from typing import Any


@singledispatch
def jsonable(value: Any) -> Any:
    """Return a value as JSON has it.

    Dataclasses become objects of their fields, pydantic models what they say themselves, enums their values, fractions
    numbers, paths texts, and tuples arrays.
    """
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


@jsonable.register
def _(value: Mapping) -> Any:  # type: ignore[type-arg]
    return {str(key): jsonable(each) for key, each in value.items()}


@jsonable.register
def _(value: list | tuple) -> Any:  # type: ignore[type-arg]
    return [jsonable(each) for each in value]


@jsonable.register
def _(value: str) -> str:
    return value


@jsonable.register
def _(value: Enum) -> Any:
    return value.value


@jsonable.register
def _(value: Fraction) -> float:
    return float(value)


@jsonable.register
def _(value: PurePath) -> str:
    return str(value)


def members(value: object, *names: str) -> dict[str, Any]:
    """Return attributes of a value, fields or properties, under their own names; None for all of what is None."""
    return {name: None if value is None else jsonable(getattr(value, name)) for name in names}
