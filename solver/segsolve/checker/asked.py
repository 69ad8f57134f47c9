"""What was asked: whether plan.json and the certificate say the same, and how a verdict puts it into words."""

from __future__ import annotations

from collections.abc import Iterator

from segsolve.checker.document import Certificate, Constraints
from segsolve.checker.failure import CertificateFault
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import shortened


def check_asked(plan: Plan, certificate: Certificate) -> None:
    """Check that plan.json records the question that the certificate answers.

    Raises:
        CertificateFault: it records another, or none.
    """
    asked = plan.solution.question
    if asked is None:
        raise CertificateFault("plan.json does not record what was asked, so that its certificate answers nothing")
    question, kept = certificate.question, certificate.question.constraints
    pairs: list[tuple[str, object, object]] = [
        ("objective", asked.objective, question.objective),
        ("layout", asked.layout, question.layout),
        ("cuts", asked.cuts, question.cuts),
        ("batch", asked.batch, question.batch if question.objective == "batch" else None),
        ("no_spill", asked.no_spill, certificate.problem.no_spill),
    ]
    pairs += [(name, getattr(asked, name), getattr(kept, name)) for name in Constraints.model_fields]
    for name, said, ours in pairs:
        if said != ours:
            texts = [shortened(str(value)) for value in (said, ours)]
            raise CertificateFault(
                f"plan.json was asked something else than the certificate: {name}: {texts[0]} there, {texts[1]} here"
            )


def constraints_in_words(certificate: Certificate) -> tuple[str, ...]:
    """Return what a plan had to keep beside its layout, a few words each, so that they follow "plans"."""
    return tuple(_words(certificate))


def _words(certificate: Certificate) -> Iterator[str]:
    kept = certificate.question.constraints
    if certificate.problem.no_spill:
        yield "whose weights all fit on chip"
    if kept.max_latency_ns is not None:
        yield f"with a latency of at most {kept.max_latency_ns} ns"
    if kept.min_fps is not None:
        yield f"that make at least {kept.min_fps} inferences per second"
    if kept.max_stages is not None:
        yield f"whose pipelines have at most {kept.max_stages} {'stage' if kept.max_stages == 1 else 'stages'}"
    if kept.cut_before:
        yield f"with stages that begin at {_operations(kept.cut_before)}"
    if kept.no_cut_before:
        yield f"with no stage that begins at {_operations(kept.no_cut_before)}"
    yield from (f"with {_operations(group)} in one stage" for group in kept.keep_together)
    yield from (f"with operation {op} in stage {stage}" for op, stage in kept.pins)


def _operations(ops: list[int]) -> str:
    return shortened(f"operation {ops[0]}" if len(ops) == 1 else f"operations {', '.join(map(str, ops))}")
