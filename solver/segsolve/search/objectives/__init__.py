"""The objectives, a module each; `aim` returns what the search knows of one."""

from __future__ import annotations

from importlib import import_module

from segsolve.question import Objective
from segsolve.search.objectives.base import Aim


def aim(objective: Objective) -> Aim:
    """Return an objective as the search meets it: the class of its name in the module of its name."""
    module = import_module(f"{__name__}.{objective}")
    made: Aim = getattr(module, objective.capitalize())()
    return made
