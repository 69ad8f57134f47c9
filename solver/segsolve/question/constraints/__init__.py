"""The constraints that can be asked for, a module each; a module that is put here is known everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from segsolve.question.constraint import Constraint


def _kinds(module: ModuleType) -> list[type[Constraint]]:
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Constraint)]
    return [kind for kind in found if kind.__module__ == module.__name__]


KINDS: Mapping[str, type[Constraint]] = {
    kind.key: kind
    for found in sorted(iter_modules(__path__), key=lambda module: module.name)
    for kind in _kinds(import_module(f"{__name__}.{found.name}"))
}
"""Every kind, by its key."""
