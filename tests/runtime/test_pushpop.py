from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from generators.runtime_plans import chain_plan
from segsolve_runtime import FaultPolicy, InputError, Pipeline, StageError
from segsolve_runtime.pushpop import PipelinedModelRunner

from .runners import IncrementRunner, increments


def test_what_is_pushed_is_popped_in_order() -> None:
    pipeline, _ = increments(3)
    with pipeline, ThreadPoolExecutor(1) as pool:
        runner = PipelinedModelRunner(pipeline)

        def push() -> None:
            for n in range(100):
                assert runner.push({"t0": np.full(2, n, np.int8)})
            assert runner.push({})

        pushing = pool.submit(push)
        popped = []
        while (outputs := runner.pop()) is not None:
            popped.append(int(outputs["t3"][0]))
        pushing.result()
        assert popped == list(range(3, 103))
        assert runner.pop() is None
        with pytest.raises(RuntimeError, match="nothing can follow"):
            runner.push({"t0": np.zeros(2, np.int8)})


def test_a_frame_that_fails_raises_in_its_turn() -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise OSError("no power")

    policy = FaultPolicy(on_fault="skip")
    with Pipeline(chain_plan([1]), [IncrementRunner("t1", fail)], faults=policy) as pipeline:
        runner = PipelinedModelRunner(pipeline)
        for n in range(3):
            runner.push({"t0": np.full(2, n, np.int8)})
        with pytest.raises(InputError):
            runner.push({"t0": np.zeros(5, np.int8)})
        assert runner.pop() is not None
        with pytest.raises(StageError):
            runner.pop()
        assert runner.pop() is not None
