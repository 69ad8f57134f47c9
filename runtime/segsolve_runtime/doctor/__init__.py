"""Looks at everything that a plan needs to run on Edge TPUs, and says what is missing and what to do about it.

``segsolve-run doctor`` works where the solver is not installed; ``segsolve doctor`` is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from segsolve_runtime.contract.wording import hanging

EXIT_NOT_READY = 12
DEVICE = "Edge TPU"
"""How the names of findings about a device begin."""


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. `needed` says that no plan runs on an Edge TPU without it; `hint` what to do."""

    name: str
    state: State
    text: str
    hint: str = ""
    needed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "state": self.state.value,
            "text": self.text,
            "hint": self.hint or None,
            "needed": self.needed,
        }


def examine() -> Iterator[Finding]:
    """Yield the findings, in an order in which each explains those after it."""
    from segsolve_runtime.doctor import hardware, software

    yield software.python()
    yield software.litert()
    yield from hardware.findings()
    yield software.pycoral()
    yield software.compiler()


def is_ready(findings: Iterable[Finding]) -> bool:
    """Whether a compiled plan can run on an Edge TPU of this machine."""
    found = list(findings)
    is_usable = any(finding.name.startswith(DEVICE) and finding.state is State.OK for finding in found)
    return is_usable and not any(finding.needed and finding.state is State.MISSING for finding in found)


def lines(findings: Iterable[Finding], width: int | None = None) -> Iterator[str]:
    """Yield the findings as text, a hint below the line that it belongs to; lines of `width` at most, where given."""
    for finding in findings:
        yield hanging(f"{finding.state:8}{finding.name:18}", finding.text, width)
        if finding.hint:
            yield hanging(f"{'':26}-> ", finding.hint, width)
