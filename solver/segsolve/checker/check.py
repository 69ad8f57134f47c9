"""The check as a whole: six steps, each of which believes only what those before it have shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segsolve.checker.asked import check_asked
from segsolve.checker.claims import check_claims
from segsolve.checker.document import Certificate, read_certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.figures import check_belongs, check_figures, check_points
from segsolve.checker.least import has_one_stage, is_least
from segsolve.checker.objectives import objective
from segsolve.checker.plans import Priced, Prices, check_valid, pieces_of
from segsolve.checker.proof import prove
from segsolve.checker.states import Scope, States, read_states
from segsolve.checker.steps import Step, done
from segsolve.checker.verdict import Verdict, verdict
from segsolve_runtime.contract.compiled import check_compiled
from segsolve_runtime.contract.plan import Plan, PlanFolder
from segsolve_runtime.errors import PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The steps up to the first that failed; what was proven, if none did."""

    steps: tuple[Step, ...]
    verdict: Verdict | None

    @property
    def is_certified(self) -> bool:
        """Whether no step failed."""
        return self.verdict is not None

    @property
    def cuts(self) -> Scope | None:
        """The cuts that the proof is about, if no step failed."""
        return self.verdict.scope if self.verdict else None


def check_folder(folder: PlanFolder, observe: Callable[[Step], object] = lambda step: None) -> Report:
    """Check a plan's folder as it lies there: the plan, its certificate, and the record of compiled segments."""

    def read() -> Certificate:
        try:
            check_compiled(folder)
        except PlanError as error:
            raise CertificateFault(str(error)) from None
        return read_certificate(folder)

    return check(folder.plan, read, observe)


def check(plan: Plan, read: Callable[[], Certificate], observe: Callable[[Step], object] = lambda step: None) -> Report:
    """Check a plan against the certificate that `read` returns; tell of each step as it is done."""
    run = _Run(plan, read)
    steps = done(run.steps(), observe)
    return Report(steps=steps, verdict=run.verdict if steps[-1].ok else None)


class _Run:
    """The steps, in their order; each leaves what the next ones need."""

    certificate: Certificate
    found: Priced
    states: States
    scope: Scope
    verdict: Verdict

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
        check_asked(self._plan, self.certificate)
        count = len({stage.file for stage in self._plan.all_stages})
        what = f"plan.json and its segments ({count}) are as they were written"
        if self._plan.model.costs_only:
            what = f"plan.json is as it was written, of the costs in {self._plan.model.name} alone"
        return f"{what}, the certificate {'is theirs' if self.certificate.binding else 'fits them'}"

    def valid(self) -> str:
        self._prices = Prices(self.certificate.problem)
        self.found = self._prices.priced(pieces_of(self._plan))
        check_valid(self.found, self.certificate)
        return f"layout {self._plan.solution.layout} is a plan for the problem, and keeps what was asked for"

    def costs(self) -> str:
        worth = check_figures(self._plan, self.found, self.certificate)
        if objective(self.certificate.question.objective).has_points:
            check_points(self._plan, self.found, self.certificate, self._prices)
        return worth

    def lattice(self) -> str:
        self.states = read_states(self.certificate)
        self.scope = self._scope()
        count = len(self.states.members)
        if self.states.scope is Scope.GRAPH:
            return f"{count} states are all that the graph allows"
        if has_one_stage(self.certificate.problem):
            return f"{count} states are those of the execution order; one TPU runs it all, however the graph is cut"
        if self.scope is Scope.GRAPH:
            return f"{count} states are those of the execution order; no other cut of the graph does less work in all"
        return f"{count} states are those of the execution order; nothing is said of other cuts of the graph"

    def claims(self) -> str:
        done = check_claims(self.certificate, self.states)
        count = len(self.certificate.claims)
        claims = f"{count} {'claim' if count == 1 else 'claims'}"
        return f"{claims}, {done.inequalities} inequalities hold; {done.priced} stages were priced for them"

    def optimum(self) -> str:
        claim = prove(self.certificate)
        self.verdict = verdict(self._plan, self.certificate, self.scope, claim)
        where = "of the graph" if self.scope is Scope.GRAPH else "of the execution order"
        return f"{claim}, over all cuts {where}"

    def _scope(self) -> Scope:
        """Return what the proof holds for: the states, or more where a plan does the least work or nothing is cut."""
        is_whole = has_one_stage(self.certificate.problem) or is_least(self.certificate)
        return Scope.GRAPH if is_whole else self.states.scope
