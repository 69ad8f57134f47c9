"""Devices that are lost and come back, in pipelines of all shapes: no inference is lost, and the order is kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.runtime_plans import chain_plan, lanes_plan
from segsolve_runtime import DeviceLostError, FaultPolicy, Pipeline, StageError, State
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.places import Place, places, stage_at
from segsolve_runtime.errors import HardwareError
from segsolve_runtime.flow.faults import FaultKind
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.flow.threads import ThreadEngine

from .runners import PATIENCE_S, frame, in_time, wait_for

COUNT = 120
POLICY = FaultPolicy(on_fault="retry", attempts=50, rejoin_s=PATIENCE_S)


class ReturningRunner:
    """Adds 1, except where its device is lost, by chance; it opens again at the second attempt, or never."""

    def __init__(self, output: str, chance: float, seed: int, *, returns: bool = True) -> None:
        self._output, self._chance, self._random = output, chance, random.Random(seed)
        self._returns, self._is_lost, self._attempts = returns, False, 0
        self._at_work = threading.Lock()
        self.lost = 0

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        assert self._at_work.acquire(blocking=False), "two threads use one device"
        try:
            if self._is_lost or self._random.random() < self._chance:
                self._is_lost, self._attempts = True, 0
                self.lost += 1
                raise DeviceLostError("unplugged")
            (array,) = tensors.values()
            return {self._output: array + np.int8(1)}
        finally:
            self._at_work.release()

    def abandon(self) -> None:
        """Nothing of it hangs."""

    def reopen(self) -> None:
        assert not self._at_work.locked(), "it is opened while it runs"
        self._attempts += 1
        if not self._returns or self._attempts < 2:
            raise HardwareError("still unplugged")
        self._is_lost = False

    def close(self) -> None:
        """There is nothing to close."""


def opened(lanes: list[Lane], chance: float, policy: FaultPolicy = POLICY) -> tuple[Pipeline, list[ReturningRunner]]:
    plan = lanes_plan(lanes)
    runners = [ReturningRunner(stage_at(plan, place).outputs[0], chance, k) for k, place in enumerate(places(plan))]
    return Pipeline(plan, runners, faults=policy), runners


@st.composite
def layouts(draw: st.DrawFn) -> list[Lane]:
    stages = draw(st.integers(1, 3))
    replicas = st.lists(st.integers(1, 2), min_size=stages, max_size=stages)
    return [Lane(stage_ns=(1,) * stages, replicas=tuple(draw(replicas))) for _ in range(draw(st.integers(1, 3)))]


@settings(deadline=None, max_examples=25)
@given(lanes=layouts(), chance=st.sampled_from([0.005, 0.02, 0.1]), submits=st.booleans())
def test_none_is_lost(lanes: list[Lane], chance: float, submits: bool) -> None:
    def run() -> None:
        before = threading.active_count()
        pipeline, runners = opened(lanes, chance)
        stages = len(lanes[0].stage_ns)
        with pipeline:
            frames = [np.full(2, value % 100, np.int8) for value in range(COUNT)]
            if submits:
                futures = [pipeline.submit(frame) for frame in frames]
                results = [future.result(PATIENCE_S) for future in futures]
            else:
                results = list(pipeline.map(frames))
            assert [int(result["out"][0]) for result in results] == [value % 100 + stages for value in range(COUNT)]
            assert pipeline.metrics().fault_counts["device lost"] == sum(runner.lost for runner in runners)
        assert threading.active_count() == before

    in_time(run, PATIENCE_S * 4)


def test_all_are_ready_again() -> None:
    pipeline, runners = opened([Lane(stage_ns=(1, 1), replicas=(1, 2))], 0.05)
    with pipeline:
        assert len(list(pipeline.map(np.zeros((COUNT, 2), np.int8)))) == COUNT
        for runner in runners:
            runner._chance = 0
        end = monotonic() + PATIENCE_S
        while pipeline.state is not State.READY and monotonic() < end:
            list(pipeline.map(np.zeros((5, 2), np.int8)))
        assert pipeline.state is State.READY
        counts = pipeline.metrics().fault_counts
        assert counts.get(FaultKind.REJOINED, 0) <= sum(runner.lost for runner in runners)


def test_the_queue_stays_bounded() -> None:
    """An inference that comes back to its stage takes its place in the queue again."""
    pipeline, _ = opened([Lane(stage_ns=(1, 1, 1), replicas=(1, 1, 1))], 0.1)
    with pipeline:
        results = pipeline.map(np.zeros((COUNT, 2), np.int8))
        for _ in range(COUNT - 1):
            next(results)
        engine = pipeline._run._engine
        assert isinstance(engine, ThreadEngine)
        assert all(line.room.qsize() <= 2 for lane in engine._lanes for line in lane)


def test_one_that_stays_away_is_waited_for_only_so_long() -> None:
    plan = chain_plan([1, 1])
    runners = [ReturningRunner("t1", 0, 0), ReturningRunner("t2", 1, 0, returns=False)]
    policy = FaultPolicy(on_fault="retry", rejoin_s=0.1)
    with Pipeline(plan, runners, faults=policy) as pipeline:
        with pytest.raises(StageError, match=r"no pipeline was whole for 0.1 s"):
            list(pipeline.map(np.zeros((COUNT, 2), np.int8)))
        assert list(pipeline.lost) == [Place(0, 1)] and pipeline.state is State.FAILED


def test_after_too_long_an_outage_the_next_frame_is_done() -> None:
    """The end of the run before was told to those who waited for it."""
    runner = ReturningRunner("t1", 1, 0, returns=False)
    policy = FaultPolicy(on_fault="retry", rejoin_s=0.1)
    with Pipeline(chain_plan([1]), [runner], faults=policy) as pipeline:
        with pytest.raises(StageError, match=r"no pipeline was whole for 0.1 s"):
            pipeline.submit(frame(1)).result(PATIENCE_S)
        runner._chance, runner._returns = 0, True
        wait_for(lambda: pipeline.state is State.READY)
        assert pipeline.submit(frame(1)).result(PATIENCE_S)["t1"].tolist() == [2, 2]


def test_a_frame_that_loses_every_device_is_given_up() -> None:
    pipeline, runners = opened([Lane(stage_ns=(1,), replicas=(1,))], 1, FaultPolicy(on_fault="retry", rejoin_s=10))
    with pipeline, pytest.raises(StageError, match="unplugged"):
        list(pipeline.map(np.zeros((1, 2), np.int8)))
    assert runners[0].lost == 3


def test_a_policy_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        FaultPolicy(on_fault="retry", rejoin_s=0)
