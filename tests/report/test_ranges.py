"""The range of a plan's predicted time: that of what limits it; plans whose ranges overlap are a tie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators.problems import chain, op_cost
from segsolve.cost.plan import PlanScore, score_plan
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.problem import Host, SharedLink
from segsolve.report.ranges import between, period_range, range_document, ties, ties_sentence

MS = 1_000_000
RANGES = (("plain", 0.9, 1.2), ("spilling", 0.5, 1.5), ("host", 1.0, 2.0), ("transfers", 0.8, 1.6))
WHOLE = Pipeline(stages=(Stage(ops=(0, 1)),))
PARTED = Pipeline(stages=(Stage(ops=(0,)), Stage(ops=(1,), replicas=2)))


def scored(*pipelines: Pipeline, host: Host | None = None, link: SharedLink | None = None) -> PlanScore:
    """Operations of 4 and 10 ms; the second streams 100 bytes, which is half of its time."""
    ops = (op_cost(4 * MS), replace(op_cost(5 * MS, weight_bytes=100), streamed_ns=10 * MS))
    problem = replace(chain(*ops, tpus=8, capacity_bytes=0), host=host, link=link)
    return score_plan(problem, Plan(pipelines=pipelines))


def test_it_is_that_of_the_slowest_stage() -> None:
    """14 ms of which 5 stream; 4 ms of which none do, or 10 ms on two devices, which are slower."""
    assert period_range(RANGES, scored(WHOLE)) == pytest.approx((7 * MS, 21 * MS), rel=1e-5)
    assert period_range(RANGES, scored(PARTED)) == pytest.approx((2_500_000, 7_500_000), rel=1e-5)
    assert period_range(RANGES, scored(WHOLE, WHOLE)) == pytest.approx((3_500_000, 10_500_000), rel=1e-5)


def test_it_is_that_of_a_host_or_a_link_which_limits() -> None:
    """The stages may be faster than predicted, which does not help; slower ones than the host are possible."""
    driven = scored(WHOLE, host=Host(cores=1, serial_ns=20 * MS))
    assert driven.limited_by == ("host",)
    assert period_range(RANGES, driven) == pytest.approx((20 * MS, 40 * MS), rel=1e-5)
    narrow = scored(WHOLE, link=SharedLink(ns_per_mib=20 * MS * 2**20 // 100))
    assert narrow.limited_by == ("link",)
    found = period_range(RANGES, narrow)
    assert found is not None and found[0] == pytest.approx(0.8 * narrow.period_ns)
    assert found[1] == pytest.approx(1.6 * narrow.period_ns)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert period_range((), scored(WHOLE)) is None
    assert period_range(RANGES[:1], scored(WHOLE)) is None
    assert period_range(RANGES[:2], scored(WHOLE, host=Host(cores=1, serial_ns=20 * MS))) is None
    assert range_document(None) == {"least_period_ns": None, "most_period_ns": None}
    assert between(None) == "" and ties_sentence("a", MS, {"a": None}) == []


def test_who_overlaps_is_a_tie() -> None:
    found = {"a": (9 * MS, 12 * MS), "b": (12 * MS, 16 * MS), "c": (13 * MS, 17 * MS), "d": None}
    assert ties("a", found) == ["b"]
    (said,) = ties_sentence("a", 10 * MS, found)
    assert said == "a: 10.00 ms per inference, 9.00 to 12.00 (80 % of measurements); a tie with it: b."
    assert range_document(found["b"], found["a"])["tied"] is True
    assert range_document(found["c"], found["a"])["tied"] is False


def test_a_host_that_is_nearly_busy_may_be_what_limits() -> None:
    """The whole takes 14 ms and at most 21; a host that takes 12 of them may take 24."""
    nearly = scored(WHOLE, host=Host(cores=1, serial_ns=12 * MS))
    assert nearly.limited_by == ()
    assert period_range(RANGES, nearly) == pytest.approx((12 * MS, 24 * MS), rel=1e-5)
    idle = scored(WHOLE, host=Host(cores=1, serial_ns=2 * MS))
    assert period_range(RANGES, idle) == pytest.approx((7 * MS, 21 * MS), rel=1e-5)
