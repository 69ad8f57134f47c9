"""segsolve: proven-best segmentation of quantised TFLite CNNs over several Edge TPUs.

What the command line does, as functions: `solve`, `compare`, `build`, `check`, `verify`, `replan`; and `solve_pool` and
`replan_pool` for several models on unequal TPUs.
"""

TYPE_CHECKING = False  # `typing` has it as well, and is imported where Ctrl-C would be a traceback: see `interruption`
if TYPE_CHECKING:
    from typing import Any

    from segsolve.library.answer import Answer, Rows
    from segsolve.library.plans import build, check, replan, verify
    from segsolve.library.pool_again import replan_pool
    from segsolve.library.pools import solve_pool
    from segsolve.library.solving import compare, solve
    from segsolve.solvers.base import Limits
    from segsolve.version import __version__

__all__ = [
    "Answer",
    "Limits",
    "Rows",
    "__version__",
    "build",
    "check",
    "compare",
    "replan",
    "replan_pool",
    "solve",
    "solve_pool",
    "verify",
]

_HOMES = {
    "Answer": "segsolve.library.answer",
    "Limits": "segsolve.solvers.base",
    "Rows": "segsolve.library.answer",
    "__version__": "segsolve.version",
    "build": "segsolve.library.plans",
    "check": "segsolve.library.plans",
    "compare": "segsolve.library.solving",
    "replan": "segsolve.library.plans",
    "replan_pool": "segsolve.library.pool_again",
    "solve": "segsolve.library.solving",
    "solve_pool": "segsolve.library.pools",
    "verify": "segsolve.library.plans",
}


def __getattr__(name: str) -> "Any":
    """Import what is asked for when it is: the solver alone takes a second."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segsolve' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
