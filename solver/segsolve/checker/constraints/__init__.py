"""The constraints that a verdict can speak of, a module each; a certificate that asks for another one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from segsolve.checker.constraint import Constraint

KINDS: Mapping[str, type[Constraint]] = {
    kind.key: kind
    for found in sorted(iter_modules(__path__), key=lambda module: module.name)
    for kind in vars(import_module(f"{__name__}.{found.name}")).values()
    if isinstance(kind, type) and issubclass(kind, Constraint) and kind.__module__ == f"{__name__}.{found.name}"
}
"""Every kind, by its key."""
