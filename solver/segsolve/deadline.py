"""The time limit of a solve, which whatever takes long looks at: tables, dynamic programs, searches, solvers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf


class OutOfTime(Exception):
    """The time limit passed while something was being computed; never leaves the search."""


_until: ContextVar[float] = ContextVar("until", default=inf)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Let a time limit count from now on, None for none; an earlier deadline around this one stays."""
    token = _until.set(min(_until.get(), inf if seconds is None else time.perf_counter() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left_s() -> float:
    """Return the seconds that are left, none below 0."""
    return max(0.0, _until.get() - time.perf_counter())


def check() -> None:
    """Raise OutOfTime if the deadline has passed."""
    if _until.get() < time.perf_counter():
        raise OutOfTime


def is_over() -> bool:
    """Whether the deadline has passed, for searches that have a plan to end with."""
    return _until.get() < time.perf_counter()
