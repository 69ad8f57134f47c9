"""The steps of a check, done one after the other until one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from segsolve.checker.failure import CertificateFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the check, whether it succeeded, and a sentence on what it found."""

    name: str
    ok: bool
    text: str


def done(named: Iterable[tuple[str, Callable[[], str]]], observe: Callable[[Step], object]) -> tuple[Step, ...]:
    """Do steps by their names, tell of each, and return them up to the first that failed."""
    steps: list[Step] = []
    for name, step in named:
        try:
            steps.append(Step(name=name, ok=True, text=step()))
        except CertificateFault as fault:
            steps.append(Step(name=name, ok=False, text=str(fault)))
        observe(steps[-1])
        if not steps[-1].ok:
            break
    return tuple(steps)
