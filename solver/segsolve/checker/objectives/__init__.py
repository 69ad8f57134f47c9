"""The objectives that a verdict can speak of, a module each, whose class has the module's name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segsolve.checker.objective import Objective

NAMES = tuple(sorted(module.name for module in iter_modules(__path__)))


def objective(name: str) -> Objective:
    """Return what an objective means."""
    made: Objective = getattr(import_module(f"{__name__}.{name}"), name.capitalize())()
    return made
