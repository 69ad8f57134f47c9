"""Stages that share a process, as those of an Edge TPU do that several models use."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import sleep

import numpy as np
import pytest

from segsolve_runtime.backends.isolated.child import Recipe
from segsolve_runtime.backends.isolated.runner import Household, IsolatedRunner
from segsolve_runtime.contract.arrays import Array, ArraySpec
from segsolve_runtime.errors import DeviceLostError

from .runners import PATIENCE_S, in_time, wait_for

SPEC = (ArraySpec(name="x", dtype=np.dtype(np.int8), shape=(1,)),)


class Hanging:
    def run(self, tensors: Mapping[str, Array]) -> Mapping[str, Array]:
        sleep(1000)
        return tensors

    def close(self) -> None:
        """There is nothing to close."""


def test_a_stage_that_hangs_does_not_keep_another_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsolve_runtime.backends.isolated.runner._ENDS_IN_S", 0.2)
    recipe, home = Recipe(function=f"{__name__}:Hanging", arguments=()), Household()
    hanging, other = (IsolatedRunner(recipe, SPEC, SPEC, what="it", household=home) for _ in range(2))
    lost = list[Exception]()

    def run() -> None:
        try:
            hanging.run({"x": np.zeros(1, np.int8)})
        except DeviceLostError as error:
            lost.append(error)

    for runner in (hanging, other):
        runner.open()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    child = other._child
    assert child is not None
    wait_for(child._asking.locked)
    in_time(other.close)
    in_time(hanging.close)
    thread.join(PATIENCE_S)
    assert len(lost) == 1
