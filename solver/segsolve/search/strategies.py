"""The strategies: the one list that planning, comparing, batches, reports and the command line read.

Their modules are imported when asked for: OR-Tools alone takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from segsolve.errors import UsageError
from segsolve.search.base import Planner

DEFAULT = "cpsat"
VENDOR = "compiler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy as it is listed: `title` and `rule` say to people what it is called and what it does.

    `module` has its `PLANNER`, a file of its name in `baselines` unless given. Exact ones prove their plans; those that
    are not `compared` take too long for it.
    """

    name: str
    title: str
    rule: str
    module: str = ""
    is_exact: bool = False
    is_compared: bool = True


_EXACT = "exact: no pipeline of consecutive operations has a smaller bottleneck"

STRATEGIES = (
    Strategy(
        name=VENDOR,
        title="Vendor's compiler",
        rule="cuts where the weights in the file add up to equal shares; does not look at time",
    ),
    Strategy(name="uniform", title="Uniform", rule="gives every TPU the same number of operations"),
    Strategy(
        name="balanced",
        title="Balanced",
        rule="evens out parameters over the depth of the network, then relieves TPUs that spill",
    ),
    Strategy(
        name="profiled",
        title="Vendor's profiler",
        rule="bisects on a target stage time, each stage as long as the target allows",
    ),
    Strategy(name="greedy", title="Greedy", rule="the smallest bottleneck that the longest possible stages can keep"),
    Strategy(name="dp", title="Optimum", rule=_EXACT, module="segsolve.search.chain.dp", is_exact=True),
    Strategy(
        name="brute",
        title="Optimum",
        rule=_EXACT,
        module="segsolve.search.chain.brute",
        is_exact=True,
        is_compared=False,
    ),
    Strategy(name=DEFAULT, title="Optimum", rule=_EXACT, module="segsolve.search.chain.program", is_exact=True),
)
"""In the order in which they are shown."""

EXACT = tuple(one.name for one in reversed(STRATEGIES) if one.is_exact and one.is_compared)
"""Those that answer every question, the default first; the others cut one pipeline for throughput."""
HEURISTICS = tuple(one.name for one in STRATEGIES if not one.is_exact)
COMPARED = tuple(one.name for one in STRATEGIES if one.is_compared)


def planner_names() -> tuple[str, ...]:
    """Return the names of all planners."""
    return tuple(one.name for one in STRATEGIES)


def get_planner(name: str) -> Planner:
    """Return a planner by name.

    Raises:
        UsageError: no planner has this name.
    """
    found = next((one for one in STRATEGIES if one.name == name), None)
    if found is None:
        raise UsageError(f"there is no planner {name!r}", f"known: {', '.join(planner_names())}")
    module = found.module or f"segsolve.search.baselines.{name}"
    return cast(Planner, import_module(module).PLANNER)
