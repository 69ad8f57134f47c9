"""The loop: solve, observe what was chosen, correct the costs by it, solve again, until no plan can be better.

What observes is a meter on a backend (`tune`), the vendor's compiler (`compiler.refine`) or whole runs of a pool
(`library.pool_tune`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Generic, Protocol, TypeVar


class End(StrEnum):
    """Why the loop ended."""

    STANDS = "the plan stands"
    LIMIT = "iteration limit"
    INTERRUPTED = "interrupted"
    NO_PLAN = "no plan"


PlanT = TypeVar("PlanT")
"""A plan, of one model or of a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Generic[PlanT]):
    """The plan that looks best under what is known so far, and its cost in ns as far as that is known."""

    plan: PlanT | None
    cost_ns: int


class Observer(Protocol[PlanT]):
    """Knows the costs, and learns about them."""

    def propose(self, best_ns: int | None) -> Proposal[PlanT]:
        """Return the plan that looks best; `best_ns` is the least cost that was observed of a plan."""
        ...

    def observe(self, proposal: Proposal[PlanT], best_ns: int | None) -> int | None:
        """Return a plan's cost in ns as observed; None where it is known not to be less than the best."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the loop ended. No plan costs less than `bound_ns`, as far as the observer's proposals are optimistic."""

    end: End
    best_ns: int | None
    bound_ns: int


def refine(observer: Observer[PlanT], *, most_rounds: int, start: Proposal[PlanT] | None = None) -> Ended:
    """Observe plans, at first `start` if there is one, until none looks better than the best that was observed."""
    best_ns, bound_ns = None, 0
    for number in count():
        proposal = start if start is not None and number == 0 else observer.propose(best_ns)
        if best_ns is None and proposal.plan is None:
            return Ended(end=End.NO_PLAN, best_ns=None, bound_ns=bound_ns)
        if best_ns is not None:
            bound_ns = best_ns if proposal.plan is None else min(proposal.cost_ns, best_ns)
            if bound_ns >= best_ns:
                return Ended(end=End.STANDS, best_ns=best_ns, bound_ns=bound_ns)
        if number == most_rounds:
            break
        seen_ns = observer.observe(proposal, best_ns)
        if seen_ns is not None and (best_ns is None or seen_ns < best_ns):
            best_ns = seen_ns
            bound_ns = min(bound_ns, seen_ns)  # it may rest on a tolerance, which this plan breaks
    return Ended(end=End.LIMIT, best_ns=best_ns, bound_ns=bound_ns)
