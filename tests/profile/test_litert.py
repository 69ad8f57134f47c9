"""Real measurements on this machine's CPU: that they add up, not how long anything takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsolve.cost.plan import score_cut
from segsolve.errors import ModelError, UsageError
from segsolve.graph.model import Restriction
from segsolve.graph.read import LoadedModel
from segsolve.measure.inputs import activations, noise, segment_of, units_of
from segsolve.measure.operations import Effort
from segsolve.measure.run import measure_model, meter_of, tuned_profile
from segsolve.measure.samples import summarise
from segsolve.measure.session import Session
from segsolve.profile.format import Profile, profile_json
from segsolve.profile.load import load_profile
from segsolve.profile.measured import MeasuredCosts, check_profile_of
from segsolve.refine import End
from segsolve.tune import tune
from tests.models import Net, residual_net

EFFORT = Effort(runs=4, warm_up=1, seconds=0)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return residual_net().load(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def profile(loaded: LoadedModel) -> Profile:
    return measure_model(loaded, ranges=[(0, 3), (3, 11)], effort=EFFORT, seed=5).profile


def test_the_profile_has_every_operation_and_every_tensor(loaded: LoadedModel, profile: Profile) -> None:
    graph = loaded.graph
    check_profile_of(profile, graph, "profile")
    assert all(layer.time_ns >= 0 for layer in profile.layers)
    assert sum(layer.time_ns for layer in profile.layers) > 0
    assert [layer.param_bytes for layer in profile.layers] == [op.weight_bytes for op in graph.ops]
    assert all(layer.statistics and layer.statistics.runs == EFFORT.runs for layer in profile.layers)
    tensors = {graph.tensors[t].name for t in graph.producer if graph.consumers.get(t) or t in graph.outputs}
    assert {edge.tensor for edge in profile.edges} == tensors
    assert all(edge.time_ns > 0 or edge.to is None for edge in profile.edges)


def test_the_profile_has_the_segments_and_the_whole_model(profile: Profile) -> None:
    assert [(s.first_op, s.last_op) for s in profile.segments] == [(0, 2), (0, 10), (3, 10)]
    assert all(s.time_ns > 0 for s in profile.segments)


def test_the_profile_says_where_and_how_it_was_measured(profile: Profile) -> None:
    known = profile.environment
    assert known is not None
    assert (known.backend, known.threads, known.runs, known.warm_up, known.seed) == ("litert", 1, 4, 1, 5)
    assert known.machine
    assert known.date
    assert {"segsolve", "ai-edge-litert", "numpy", "python"} <= known.versions.keys()


def test_costs_are_the_graphs_and_what_was_measured(loaded: LoadedModel, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(profile_json(profile))
    problem = MeasuredCosts(profile=load_profile(path), graph=loaded.graph).problem(tpus=2)
    assert problem.cuts == loaded.graph.cuts
    assert len(problem.transfers) == len({(e.source, e.tensor) for e in profile.edges})
    stages = score_cut(problem, (3,)).stages
    assert [s.time_ns for s in stages] == [profile.segments[0].time_ns, profile.segments[2].time_ns]
    assert all(s.offchip_bytes == 0 for s in stages)


def test_operations_that_stay_together_are_measured_together(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input())
    loaded = net.load(tmp_path, net.relu(net.add(x, net.relu(x))))
    together = Restriction(first=0, last=2, reason="a tensor that cannot leave")
    loaded = replace(loaded, graph=replace(loaded.graph, restrictions=(together,)))
    layers = measure_model(loaded, effort=EFFORT).profile.layers
    glued = [p for p in range(1, len(layers)) if p not in loaded.graph.cuts]
    assert [p for p, layer in enumerate(layers) if layer.with_previous] == glued
    assert all(layers[p].time_ns == 0 for p in glued)


def test_units_on_noise_make_what_the_whole_model_makes(loaded: LoadedModel) -> None:
    graph = loaded.graph
    expected = noise(graph, 3)
    Session(loaded, segment_of(graph, 0, len(graph.ops))).timed(expected)
    found = activations(loaded, 3)
    assert len(units_of(graph)) == len(graph.cuts) + 1
    for tensor in graph.outputs:
        np.testing.assert_array_equal(found[tensor], expected[tensor])


def test_tuning_on_the_cpu(loaded: LoadedModel) -> None:
    measured = measure_model(loaded, effort=EFFORT)
    problem = MeasuredCosts(profile=measured.profile, graph=loaded.graph).problem(tpus=2)
    tuning = tune(problem, measured.meter)
    assert tuning.stopped_by in (End.STANDS, End.LIMIT)
    assert tuning.plan is not None
    assert len(measured.meter.measured) == tuning.measurements
    tuned = tuned_profile(measured.profile, tuning, measured.meter, effort=EFFORT, seed=0)
    times = {(s.first_op, s.last_op + 1): s.time_ns for s in tuned.segments}
    assert tuning.period_ns == max(times[s.ops[0], s.ops[-1] + 1] for s in tuning.plan.pipelines[0].stages)
    assert Profile.model_validate_json(profile_json(tuned)) == tuned


def test_a_meter_needs_no_profile(loaded: LoadedModel) -> None:
    meter = meter_of(loaded, effort=EFFORT)
    assert meter(2, 7) > 0
    assert meter.measured[2, 7].runs == EFFORT.runs


@pytest.mark.parametrize("bad", [(0, 12), (5, 5)])
def test_ranges_that_are_none_are_refused(loaded: LoadedModel, bad: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="is not a range of the operations 0 to 10"):
        measure_model(loaded, ranges=[bad], effort=EFFORT)


def test_what_litert_cannot_run_is_the_models_fault(tmp_path: Path) -> None:
    net = Net()
    unknown = net.op("CUSTOM", [net.conv(net.input())], (1, 4, 4, 8))
    net.model.operatorCodes[-1].customCode = b"nobody knows it"
    with pytest.raises(ModelError, match=r"cannot run operations 1-1 of .*net.tflite on the CPU"):
        measure_model(net.load(tmp_path, unknown), effort=EFFORT)


def test_the_lower_quartile_stands_for_all_runs() -> None:
    summary = summarise([50, 10, 20, 90, 30])
    assert (summary.time_ns, summary.median_ns, summary.spread_ns, summary.runs) == (20, 30, 30, 5)
    assert summarise([7]).spread_ns == 0
