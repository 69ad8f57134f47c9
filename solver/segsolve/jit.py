"""Functions over arrays that are compiled when they are first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function, once for all processes where there is a folder to keep it in.

    `options` are those of `numba.njit`.
    """

    def compile_one(function: _Function) -> _Function:
        try:
            made: _Function = njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            made = njit(nogil=True, **options)(function)
        return made

    return compile_one
