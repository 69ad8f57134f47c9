"""The check as a whole: six steps, each of which believes only what those before it have shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.claims import check_claims
from segsolve.checker.costs import least_work_ns
from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.plans import Priced, check_belongs, check_costs, check_valid, priced
from segsolve.checker.proof import prove
from segsolve.checker.states import Scope, States, read_states
from segsolve_runtime.contract.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the check, whether it succeeded, and a sentence on what it found."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The steps up to the first that failed; the cuts that the proof is about, if none did."""

    steps: tuple[Step, ...]
    cuts: Scope | None

    @property
    def is_certified(self) -> bool:
        """Whether no step failed."""
        return all(step.ok for step in self.steps)


def check(plan: Plan, read: Callable[[], Certificate], observe: Callable[[Step], object] = lambda step: None) -> Report:
    """Check a plan against the certificate that `read` returns; tell of each step as it is done."""
    run = _Run(plan, read)
    steps: list[Step] = []
    for name, step in run.steps():
        try:
            steps.append(Step(name=name, ok=True, text=step()))
        except CertificateFault as fault:
            steps.append(Step(name=name, ok=False, text=str(fault)))
        observe(steps[-1])
        if not steps[-1].ok:
            return Report(steps=tuple(steps), cuts=None)
    return Report(steps=tuple(steps), cuts=run.scope)


class _Run:
    """The steps, in their order; each leaves what the next ones need."""

    certificate: Certificate
    found: Priced
    states: States
    scope: Scope

    def __init__(self, plan: Plan, read: Callable[[], Certificate]) -> None:
        self._plan, self._read = plan, read

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("files", self.files),
            ("plan", self.valid),
            ("costs", self.costs),
            ("states", self.lattice),
            ("claims", self.claims),
            ("optimum", self.optimum),
        )

    def files(self) -> str:
        self.certificate = self._read()
        check_belongs(self._plan, self.certificate)
        files = len({stage.file for stage in self._plan.all_stages})
        return f"plan.json and its segments ({files}) are as they were written, and the certificate belongs to them"

    def valid(self) -> str:
        self.found = priced(self._plan, self.certificate.problem)
        check_valid(self.found, self.certificate)
        return f"layout {self._plan.solution.layout} is a plan for the problem, and keeps what was asked for"

    def costs(self) -> str:
        return check_costs(self.found, self.certificate)

    def lattice(self) -> str:
        self.states = read_states(self.certificate)
        self.scope = self._scope()
        count = len(self.states.members)
        if self.states.scope is Scope.GRAPH:
            return f"{count} states are all that the graph allows"
        if self.scope is Scope.GRAPH:
            return f"{count} states are those of the execution order; no other cut of the graph does less work in all"
        return f"{count} states are those of the execution order; nothing is said of other cuts of the graph"

    def claims(self) -> str:
        done = check_claims(self.certificate, self.states)
        count = len(self.certificate.claims)
        claims = f"{count} {'claim' if count == 1 else 'claims'}"
        return f"{claims}, {done.inequalities} inequalities hold; {done.priced} stages were priced for them"

    def optimum(self) -> str:
        where = "of the graph" if self.scope is Scope.GRAPH else "of the execution order"
        return f"{prove(self.certificate)}, over all cuts {where}"

    def _scope(self) -> Scope:
        """Return what the proof holds for: the states, or more where a plan does no more than the work there is."""
        question, problem = self.certificate.question, self.certificate.problem
        if self.states.scope is Scope.GRAPH:
            return Scope.GRAPH
        value = Fraction(*self.certificate.value)
        if question.objective == "throughput" and value * problem.tpus <= least_work_ns(problem):
            return Scope.GRAPH
        if self._says_graph:
            raise CertificateFault("the plan speaks of all cuts of the graph, its certificate of the execution order's")
        return Scope.ORDER

    @property
    def _says_graph(self) -> bool:
        solution = self._plan.solution
        return solution.cuts == "dag" or "of its graph" in (solution.proof or "")
