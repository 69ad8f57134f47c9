from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.runtime_plans import Sketch, chain_plan, make_plan
from segsolve.compiler.coral import breaches, open_sizes
from segsolve_runtime.contract.plan import Plan
from tests.models import Net
from tests.segments.plans import cut


def rules(plan: Plan) -> list[tuple[str, int | None]]:
    return [(breach.rule, breach.stage) for breach in breaches(plan)]


def changed(plan: Plan, stage: int, **fields: Any) -> Plan:
    (pipeline,) = plan.pipelines
    stages = [s.model_copy(update=fields) if k == stage else s for k, s in enumerate(pipeline.stages)]
    return plan.model_copy(update={"pipelines": [pipeline.model_copy(update={"stages": stages})]})


def _plan(stages: Sequence[tuple[str, str]], inputs: str, outputs: str, **types: tuple[str, list[int]]) -> Plan:
    sketches = [Sketch(takes=takes.split(), makes=makes.split()) for takes, makes in stages]
    return make_plan(sketches, inputs=inputs.split(), outputs=outputs.split(), tensors=types)


def test_a_chain_fits() -> None:
    assert rules(chain_plan([1, 2, 3])) == []
    assert rules(chain_plan([5])) == []


def test_a_tensor_that_skips_a_stage_fits() -> None:
    """The runner hands on what the next segment does not take."""
    assert rules(_plan([("x", "a b"), ("a", "c"), ("b c", "y")], "x", "y")) == []


def test_a_late_input() -> None:
    plan = _plan([("x", "a"), ("a late", "y")], "x late", "y")
    (breach,) = breaches(plan)
    assert (breach.rule, breach.stage) == ("model inputs for the first segment only", 1)
    assert "'late'" in breach.text and "ValueError" in breach.consequence


def test_an_input_of_two_stages() -> None:
    (breach,) = breaches(_plan([("x", "a"), ("a x", "y")], "x", "y"))
    assert breach.text == "stage 1 takes the model's input 'x' as the first does"
    assert "wrong allocator" in breach.consequence


def test_an_early_output() -> None:
    unread = _plan([("x", "a out"), ("a", "y")], "x", "y out")
    assert rules(unread) == [("every output is read later", 0), ("results from the last segment only", 0)]
    read = _plan([("x", "a out"), ("a out", "y")], "x", "y out")
    assert rules(read) == [("results from the last segment only", 0)]


@pytest.mark.parametrize("dtype", ["int64", "float32", "int16"])
def test_results_of_more_than_8_bits(dtype: str) -> None:
    plan = _plan([("x", "a"), ("a", "y z")], "x", "y z", z=(dtype, [2]))
    assert rules(plan) == [("8 bit results", 1)]
    assert rules(_plan([("x", "a"), ("a", "y")], "x", "y", a=(dtype, [2]))) == []


def test_devices() -> None:
    plan = chain_plan([1, 2])
    assert rules(changed(plan, 1, replicas=3)) == [("one device per segment", 1)]
    assert rules(changed(plan, 0, processor="cpu")) == [("every segment on an Edge TPU", 0)]
    twice = plan.model_copy(update={"pipelines": [*plan.pipelines, *plan.pipelines]})
    assert rules(twice) == [("one pipeline", None)]


def test_a_segment_without_fixed_sizes_is_named(tmp_path: Path) -> None:
    net = Net()
    loaded = net.load(tmp_path, net.relu(net.shaped_by_data(net.relu(net.input()))))
    folder = cut(loaded, tmp_path / "plan", (1,))
    assert [(breach.rule, breach.stage) for breach in open_sizes(folder)] == [("fixed sizes", 1)]


def test_what_follows_from_a_frozen_batch_has_fixed_sizes(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input(shapeSignature=np.array([-1, 4, 4, 8], np.int32)))
    loaded = net.load(tmp_path, net.relu(net.op("RESHAPE", [x, net.sizes(x, 128)], (1, 128), {})))
    assert open_sizes(cut(loaded, tmp_path / "plan", (1,))) == ()
