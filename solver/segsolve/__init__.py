"""segsolve: proven-best segmentation of quantised TFLite CNNs over several Edge TPUs.

What the command line does, as functions: `solve`, `compare`, `build`, `check`, `verify`, `replan`, each for a model on
TPUs that are alike, and for several models on a pool of any.
"""

TYPE_CHECKING = False  # `typing` has it as well, and is imported where Ctrl-C would be a traceback: see `interruption`
if TYPE_CHECKING:
    from typing import Any

    from segsolve.library.answer import Answer, Rows
    from segsolve.library.plans import build, check, replan, verify
    from segsolve.library.pools import SolvedPool
    from segsolve.library.solving import compare, solve
    from segsolve.solvers.base import Limits
    from segsolve.version import __version__

__all__ = [
    "Answer",
    "Limits",
    "Rows",
    "SolvedPool",
    "__version__",
    "build",
    "check",
    "compare",
    "replan",
    "solve",
    "verify",
]

_HOMES = {
    "Answer": "segsolve.library.answer",
    "Limits": "segsolve.solvers.base",
    "Rows": "segsolve.library.answer",
    "SolvedPool": "segsolve.library.pools",
    "__version__": "segsolve.version",
    "build": "segsolve.library.plans",
    "check": "segsolve.library.plans",
    "compare": "segsolve.library.solving",
    "replan": "segsolve.library.plans",
    "solve": "segsolve.library.solving",
    "verify": "segsolve.library.plans",
}


def __dir__() -> list[str]:
    """Return what there is, for those who look for it in a notebook."""
    return __all__


def __getattr__(name: str) -> "Any":
    """Import what is asked for when it is: the solver alone takes a second."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segsolve' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
