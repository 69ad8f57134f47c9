"""``segsolve check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segsolve.cli.console import result_lines, show_json, stdout_width
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, PlanDir
from segsolve.errors import NotCertifiedError
from segsolve_runtime.contract.wording import hanging

if TYPE_CHECKING:
    from segsolve.checker.check import Report
    from segsolve.checker.pool.check import PoolReport
    from segsolve.checker.steps import Step

_NAMES = len("resources")


@guarded
def command(plan: PlanDir, as_json: Json = False) -> None:
    """Prove again that a plan is optimal, without the solver."""
    from segsolve.checker.check import Report
    from segsolve.library.plans import check

    print_line, width = result_lines(), stdout_width()
    report = check(plan, lambda step: None if as_json else print_line(_line(step, width)))
    if as_json:
        show_json(_document(report) if isinstance(report, Report) else _pool_document(report))
    if not report.is_certified:
        raise NotCertifiedError(f"not certified: {report.steps[-1].text}", "solve again with -o")
    if not as_json:
        verdict = report.verdict if isinstance(report, Report) else report.claim
        print_line(hanging("", f"certified: {verdict}", width))


def _line(step: Step, width: int | None) -> str:
    head = f"{'ok' if step.ok else 'failed':<7}{step.name:<{_NAMES}} "
    return hanging(head, step.text, width)


def _document(report: Report) -> dict[str, object]:
    proven = report.verdict
    known: dict[str, object] = {"certified": report.is_certified, "cuts": proven.scope if proven else None}
    if proven:
        known |= {
            "verdict": str(proven),
            "claim": proven.claim,
            "optimal": proven.is_optimal,
            "gap": proven.gap,
            "constraints": proven.constraints,
            "limits": proven.limits,
            "bound_by_hashes": proven.is_bound,
            "costs_sha256": proven.costs_sha256,
            "model_sha256": proven.model_sha256,
        }
    return known | {"steps": report.steps}


def _pool_document(report: PoolReport) -> dict[str, object]:
    verdict = {"certified": report.is_certified, "verdict": report.claim, "optimal": report.is_optimal}
    return verdict | {"steps": report.steps}
