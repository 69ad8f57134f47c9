"""Functions over arrays that are compiled when they are first called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from numba import njit
from numba.core import event

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


@contextmanager
def announced(say: Callable[[], None]) -> Iterator[None]:
    """Call `say` once when something has to be compiled, since no earlier process has left it: that takes seconds."""
    with event.install_listener("numba:compile", _First(say)):
        yield


class _First(event.Listener):  # type: ignore[misc]
    def __init__(self, say: Callable[[], None]) -> None:
        self._say, self._is_said = say, False

    def on_start(self, event: event.Event) -> None:
        if not self._is_said:
            self._is_said = True
            self._say()

    def on_end(self, event: event.Event) -> None:
        """Nothing is said of the end."""
