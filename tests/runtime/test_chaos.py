"""Whatever fails where, under every policy: each frame has its result or an error, once, and nothing hangs."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faulty import FaultPlan, faulty
from generators.runtime_plans import lanes_plan
from segsolve_runtime import ClosedError, DevicesLeftError, FaultPolicy, InputError, Pipeline, StageError, State
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.flow.faults import OnFault
from segsolve_runtime.flow.schedule import Lane

from .runners import PATIENCE_S, IncrementRunner, frame, in_time

COUNT = 50
Case = tuple[list[Lane], dict[int, FaultPlan], OnFault, int]


pytestmark = pytest.mark.usefixtures("leaves_no_thread")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stages = draw(st.integers(1, 3))
    replicas = st.lists(st.integers(1, 2), min_size=stages, max_size=stages)
    lanes = [Lane(stage_ns=(1,) * stages, replicas=tuple(draw(replicas))) for _ in range(draw(st.integers(1, 2)))]
    plans = {}
    for place in range(sum(sum(lane.replicas) for lane in lanes)):
        raises = frozenset(draw(st.sets(st.integers(0, 30), max_size=6)))
        plans[place] = FaultPlan(raises=raises, lost_from=draw(st.one_of(st.none(), st.none(), st.integers(0, 30))))
    return lanes, plans, draw(st.sampled_from(["stop", "skip", "retry", "give-back"])), draw(st.integers(1, 3))


def opened(case: Case) -> Pipeline:
    lanes, plans, on_fault, queue_size = case
    plan = lanes_plan(lanes)
    runners = faulty([IncrementRunner(stage_at(plan, place).outputs[0]) for place in places(plan)], plans)
    return Pipeline(plan, runners, queue_size=queue_size, faults=FaultPolicy(on_fault=on_fault))


def is_right(case: Case, outputs: object, value: int) -> bool:
    return isinstance(outputs, dict) and int(outputs["out"][0]) == value + len(case[0][0].stage_ns)


@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_map_yields_what_came_of_each_frame(case: Case) -> None:
    def run() -> None:
        number, before = 0, threading.active_count()
        with opened(case) as pipeline:
            try:
                for outcome in pipeline.map(map(frame, range(COUNT)), on_error="yield"):
                    if isinstance(outcome, StageError | InputError):
                        assert isinstance(outcome, StageError)
                    else:
                        assert outcome.number == number
                        assert is_right(case, outcome, number)
                    number += 1
                assert number == COUNT
            except DevicesLeftError as error:
                assert pipeline.lost
                if error.undone:
                    assert min(error.undone) == number
                    assert all(int(tensors["t0"][0]) == n for n, tensors in error.undone.items())
            except StageError:
                assert pipeline.state is State.FAILED
        assert threading.active_count() == before

    in_time(run)


@settings(deadline=None, max_examples=150)
@given(case=cases())
def test_every_future_is_done(case: Case) -> None:
    def run() -> None:
        with opened(case) as pipeline:
            futures = []
            for n in range(COUNT):
                try:
                    futures.append((n, pipeline.submit(frame(n))))
                except (StageError, DevicesLeftError):
                    continue
            for n, future in futures:
                error = future.exception(PATIENCE_S)
                assert isinstance(error, StageError | DevicesLeftError | ClosedError | None)
                assert error is not None or is_right(case, future.result(), n)

    in_time(run)
