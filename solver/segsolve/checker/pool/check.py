"""The check of a pool's folder: steps, each of which believes only what those before it have shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.dedicated import least_period
from segsolve.checker.pool.document import PoolCertificate, read_certificate
from segsolve.checker.pool.figures import check_belongs, check_figures
from segsolve.checker.pool.kept import check_kept, kept_words
from segsolve.checker.pool.prices import PoolCost, check_plan, cost_of
from segsolve.checker.pool.resources import least_value
from segsolve.checker.pool.worth import prove_shared
from segsolve.checker.steps import Step, done
from segsolve_runtime.contract.pool import PoolFolder
from segsolve_runtime.contract.wording import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """The steps up to the first that failed; `claim` is what was proven, `is_optimal` whether nothing is left open."""

    steps: tuple[Step, ...]
    claim: str | None
    is_optimal: bool

    @property
    def is_certified(self) -> bool:
        """Whether no step failed."""
        return self.claim is not None


def check_pool(folder: PoolFolder, observe: Callable[[Step], object] = lambda step: None) -> PoolReport:
    """Check a pool's folder; tell of each step as it is done."""
    run = _Run(folder)
    steps = done(run.steps(), observe)
    if not steps[-1].ok:
        return PoolReport(steps=steps, claim=None, is_optimal=False)
    return PoolReport(steps=steps, claim=run.claim, is_optimal=run.is_optimal)


class _Run:
    """The steps, in their order; each leaves what the next ones need."""

    certificate: PoolCertificate
    cost: PoolCost
    claim: str
    is_optimal = False

    def __init__(self, folder: PoolFolder) -> None:
        self._folder = folder
        self._bounds: list[Fraction] = []
        self._least = Fraction(0)

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("files", self.files),
            ("plan", self.valid),
            ("costs", self.costs),
            ("resources", self.resources),
            ("alone", self.dedicated),
            ("shared", self.shared),
            ("bound", self.bound),
        )

    def files(self) -> str:
        self.certificate = read_certificate(self._folder)
        check_belongs(self._folder, self.certificate)
        return f"pool.json and the plans of {len(self._folder.plans)} models are those of the certificate"

    def valid(self) -> str:
        check_plan(self.certificate)
        return "the pipelines hold every operation, on devices that are there, and each device's residents are listed"

    def costs(self) -> str:
        self.cost = cost_of(self.certificate)
        value, _ = self.certificate.claimed
        check_kept(self.certificate, self.cost)
        if self._own != value:
            raise CertificateFault(f"the plan's {self._what} is {self._own} ns, the certificate says {value}")
        check_figures(self._folder, self.certificate, self.cost)
        return f"a period takes {float(self.cost.period) / 1e6:.3f} ms, and all figures of pool.json are as computed"

    @property
    def _is_fast(self) -> bool:
        return self.certificate.objective == "throughput"

    @property
    def _what(self) -> str:
        return "period" if self._is_fast else "worst latency"

    @property
    def _own(self) -> Fraction:
        """What the plan's value is by the costs."""
        return self.cost.period if self._is_fast else Fraction(max(self.cost.latencies))

    def resources(self) -> str:
        if self.certificate.prices is None:
            return "there are no prices of resources"
        self._least = least_value(self.certificate, self.certificate.prices)
        if not self._is_fast:  # which is whole ns
            self._least = Fraction(-(-self._least // 1))
        return (
            f"by the prices of time and memory no {self._what} of any plan is below {float(self._least) / 1e6:.3f} ms"
        )

    def dedicated(self) -> str:
        if self._shares and self.certificate.sharing == "co-compiled":
            return "plans without shared devices were not asked for"
        least = least_period(self.certificate)
        if least is None:
            return "without shared devices there is no plan"
        self._bounds.append(max(least, self._least) if self._is_fast else self._least)
        return f"without shared devices no period is below {float(least) / 1e6:.3f} ms"

    def shared(self) -> str:
        if not self._shares:
            return "plans with shared devices were not asked for"
        proof = self.certificate.shared
        if proof is None:
            self._bounds.append(self._least)
            return "there are no potentials for plans with shared devices"
        priced = prove_shared(self.certificate, proof)
        self._bounds.append(max(Fraction(proof.period_ns + 1), self._least))
        return f"with shared devices no period is {proof.period_ns / 1e6:.3f} ms or less; {priced} stages were priced"

    def bound(self) -> str:
        value, bound = self.certificate.claimed
        narrow = min(self._bounds, default=Fraction(0))
        copies = self._shares and self.certificate.sharing == "auto" and len(self.certificate.devices) > 1
        said = self.certificate.without_copies
        proven = self._least if copies else narrow
        if bound > min(proven, value):
            raise CertificateFault(f"the bound that was claimed is {bound} ns, what was proven is {proven}")
        if (said is not None) != copies or (said is not None and Fraction(*said) > min(narrow, value)):
            raise CertificateFault(f"what was claimed of plans without copies is {said}, what was proven is {narrow}")
        self.is_optimal = bound == value
        costs = f"under the costs that the certificate states ({self.certificate.costs_sha256[:8]})"
        over = f"over the cuts of the execution orders, {costs}"
        if words := kept_words(self.certificate):
            over = f"of plans {words}, {over}"
        gap = float((value - bound) / value) if value else 0.0
        self.claim = f"optimal {over}" if self.is_optimal else f"within {percent(gap)} of the optimum {over}"
        if said is not None and not self.is_optimal and Fraction(*said) < value:
            gap = float((value - Fraction(*said)) / value)
            self.claim += f", and within {percent(gap)} of those without copies of models on shared devices"
        elif said is not None and not self.is_optimal:
            self.claim += ", and none of those without copies of models on shared devices is better"
        solution = self._folder.pool.solution
        is_best = said is not None and Fraction(*said) == value and solution.status == "feasible"
        if solution.best_without_copies != is_best:
            if is_best or not copies or solution.status != "feasible":
                raise CertificateFault("what pool.json says of plans without copies is not what was proven of them")
            self.claim += "; that none of those without copies is better is the solver's word"
        if solution.bound_ns > -(-bound.numerator // bound.denominator):
            self.claim += f"; that no {self._what} is below {solution.bound_ns / 1e6:.3f} ms is the solver's word"
        return f"no {self._what} is below {float(bound) / 1e6:.3f} ms"

    @property
    def _shares(self) -> bool:
        return len(self.certificate.models) > 1 and self.certificate.sharing != "never"
