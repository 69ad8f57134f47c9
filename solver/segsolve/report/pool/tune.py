"""What tuning on a pool did, plan by plan, and what it found."""

from __future__ import annotations

from typing import Any

from segsolve.library.pool_tune import PoolRound, TunedPool
from segsolve.refine import End
from segsolve.report.pool.answer import pool_document
from segsolve.report.units import count, ms
from segsolve_runtime.contract.document import members


def pool_tune_document(tuned: TunedPool) -> dict[str, Any]:
    """Return a tuning as a JSON document; times in ns. The answer is none where no plan that ran is one asked for."""
    return {
        "stopped_by": str(tuned.end),
        "rounds": [members(done, "number", "predicted_ns", "corrected_ns", "ran_ns", "keeps") for done in tuned.rounds],
        "pool": tuned.pool,
        "answer": None if tuned.solved is None else pool_document(tuned.solved.found),
    }


def round_words(done: PoolRound, *, is_late: bool) -> str:
    """Return a line of news on a plan that ran; `is_late` where the least latency was asked for."""
    what, ran = ("period", f"took {ms(done.ran_ns)} ms")
    if is_late:
        what, ran = "worst latency", f"a period took {ms(done.ran_ns)} ms"
    out = "" if done.keeps else ", and no plan that was asked for"
    return (
        f"round {done.number}: a {what} of {ms(done.predicted_ns)} ms was predicted, and {ran}; "
        f"{ms(done.corrected_ns)} ms by the costs as corrected{out}"
    )


def end_words(tuned: TunedPool) -> str:
    """Say how the tuning ended that found a plan."""
    ends = "no other looks better" if tuned.end is End.STANDS else "more rounds may find a better one"
    return f"{count(len(tuned.rounds), 'plan')} ran; this one is the best by the costs as measured, and {ends}"
