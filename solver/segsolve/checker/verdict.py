"""What follows from a check that succeeded, and for what it holds; a plan that claims more is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.asked import constraints_in_words
from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.figures import is_gap
from segsolve.checker.least import least_value
from segsolve.checker.objectives import objective
from segsolve.checker.states import Scope
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import exact_ms, percent

ORDER_ONLY = "execution order"
"""`best_over` of a plan that is the best over the cuts of its execution order, where others were allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A proven sentence about all plans, `claim`, and what it holds for.

    `is_optimal` says whether `scope` is all that the question allows and nothing is better there, `gap` how far from
    that the plan may be, `limits` what else is said or left open, a part of a sentence each, `is_bound` whether hashes
    bind plan, certificate and model to each other.
    """

    claim: str
    scope: Scope
    is_optimal: bool
    gap: float
    constraints: tuple[str, ...]
    limits: tuple[str, ...]
    is_bound: bool
    costs_sha256: str
    model_sha256: str

    def __str__(self) -> str:
        best = f"{self._quality} over {_WHERE[self.scope]}"
        among = f", among plans {', '.join(self.constraints)}" if self.constraints else ""
        where = f", under the costs that the certificate states ({self.costs_sha256[:8]})"
        return "; ".join([f"{best}{among}{where}", *self.limits])

    @property
    def _quality(self) -> str:
        if self.gap:
            return f"{percent(self.gap)} of its time from the best at most,"
        return "optimal" if self.is_optimal else "the best"


def verdict(plan: Plan, certificate: Certificate, scope: Scope, claim: str) -> Verdict:
    """Return what a plan was proven to be; `claim` is what no plan over the cuts of `scope` betters.

    Raises:
        CertificateFault: plan.json claims more.
    """
    is_bound = certificate.binding is not None
    covers = scope is Scope.GRAPH or certificate.question.cuts == "chain"
    is_optimal = covers and certificate.bound is None
    if certificate.bound and (plan.solution.status == "optimal" or plan.solution.best_over):
        raise CertificateFault("plan.json calls the plan the best, its certificate proves no more than a bound")
    if plan.solution.status == "optimal":
        _check_optimal(plan, scope, is_optimal=is_optimal or not is_bound)
    else:
        _check_feasible(plan, certificate)
    return Verdict(
        claim=claim,
        scope=scope,
        is_optimal=is_optimal,
        gap=float(1 - certificate.proven / Fraction(*certificate.value)) if certificate.bound else 0.0,
        constraints=constraints_in_words(certificate),
        limits=tuple(_limits(plan, certificate, covers=covers, is_bound=is_bound)),
        is_bound=is_bound,
        costs_sha256=certificate.problem.sha256,
        model_sha256=plan.model.sha256,
    )


_WHERE = {Scope.GRAPH: "all cuts of the graph", Scope.ORDER: "the cuts of the execution order"}


def _check_optimal(plan: Plan, scope: Scope, *, is_optimal: bool) -> None:
    """Check that nothing but the proven is called optimal; older releases called so what was the best of its order."""
    solution = plan.solution
    says_graph = solution.cuts == "dag" or "of its graph" in (solution.proof or "")
    if scope is Scope.ORDER and says_graph:
        raise CertificateFault("the plan speaks of all cuts of the graph, its certificate of the execution order's")
    if not is_optimal:
        raise CertificateFault("plan.json calls the plan optimal, its certificate only the best of its execution order")
    if solution.best_over is not None:
        raise CertificateFault(f"plan.json calls the plan optimal, and yet only the best of the {solution.best_over}")


def _check_feasible(plan: Plan, certificate: Certificate) -> None:
    """Check that bound and gap agree; `bound_ns` is rounded up, the gap is not."""
    solution, value = plan.solution, Fraction(*certificate.value)
    if solution.best_over not in (None, ORDER_ONLY):
        raise CertificateFault("plan.json calls the plan the best of something that the check does not know")
    if solution.bound_ns > solution.objective_ns:
        raise CertificateFault(f"the plan takes {solution.objective_ns} ns, less than its bound, {solution.bound_ns}")
    is_time = objective(certificate.question.objective).is_time and value
    if not (is_gap(solution.gap, value, solution.bound_ns) if is_time else solution.gap < 1):
        raise CertificateFault(f"the gap of {solution.gap} is not that of the bound, {solution.bound_ns} ns")


def _limits(plan: Plan, certificate: Certificate, *, covers: bool, is_bound: bool) -> Iterator[str]:
    bound = plan.solution.bound_ns
    if covers and certificate.bound and bound > -(-certificate.proven // 1):
        yield f"that none takes less than {exact_ms(bound)}, its bound in plan.json, was not checked"
    if not covers:
        if plan.solution.status == "optimal" or not objective(certificate.question.objective).is_time or not bound:
            yield "nothing is said of other cuts of the graph"
        elif bound <= -(-least_value(certificate) // 1):
            yield f"over all cuts of the graph none takes less than {exact_ms(bound)}"
        else:
            yield f"its bound of {exact_ms(bound)} over other cuts of the graph was not checked"
    if objective(certificate.question.objective).has_points and certificate.plans is None:
        yield "whether the other points can be reached was not checked"
    if not is_bound:
        yield "no hash ties the certificate to plan and model, as in older releases"
