"""`bench`: medians, intervals and verdicts; turns of real plans on the CPU; the command."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from generators.runtime_plans import write_folder
from segsolve.errors import ExitCode
from segsolve_runtime.bench.entrants import entrants_of
from segsolve_runtime.bench.turns import Effort, Where, take_turns
from segsolve_runtime.bench.verdict import CONFIDENCE, UNDECIDED, compare, estimate
from segsolve_runtime.errors import PlanError
from segsolve_runtime.observe import heat

from ..cli.tool import document, error, inside
from . import tiny_model


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """A folder of two plans, which are the same."""
    for name in ("01", "02"):
        write_folder(tmp_path / "plans" / name, tiny_model.plan(), tiny_model.sketches())
    return tmp_path / "plans"


def test_the_interval_of_a_median() -> None:
    found = estimate([5.0, 1.0, 4.0, 2.0, 3.0, 7.0, 6.0])
    assert (found.median, found.low, found.high) == (4.0, 1.0, 7.0)
    assert found.confidence == 1 - 2 / 2**7
    wide = estimate([float(n) for n in range(1, 101)])
    assert (wide.low, wide.high) == (40.0, 61.0) and wide.confidence >= CONFIDENCE
    assert estimate([3.0]).confidence == 0.0


@pytest.mark.parametrize("turns", [6, 7, 15, 40])
def test_the_interval_holds_the_median_as_often_as_it_says(turns: int) -> None:
    """Of 2,000 samples of a known distribution, at most the promised share and some luck may miss."""
    rng, missed = random.Random(turns), 0
    for _ in range(2_000):
        found = estimate([rng.expovariate(1) for _ in range(turns)])
        missed += not found.low <= 0.693147 <= found.high
    assert missed / 2_000 <= (1 - CONFIDENCE) * 1.3


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [(1.0, 0.0, "a tie"), (1.01, 0.001, "a tie"), (1.1, 0.01, "higher"), (0.9, 0.01, "lower"), (1.05, 0.2, "a tie")],
)
def test_verdicts(factor: float, noise: float, verdict: str) -> None:
    rng = random.Random(0)
    first = [100 * (1 + rng.uniform(-noise, noise)) for _ in range(9)]
    other = [factor * 100 * (1 + rng.uniform(-noise, noise)) for _ in range(9)]
    assert compare(other, first).verdict == verdict


def test_too_few_turns_say_nothing() -> None:
    assert compare([2.0] * 5, [1.0] * 5).verdict == UNDECIDED
    assert compare([2.0] * 6, [1.0] * 6).verdict == "higher"


def test_turns_are_shuffled_and_all_are_given(plans: Path) -> None:
    entrants, order = entrants_of([plans]), list[str]()
    effort = Effort(rounds=6, count=3, warm_up=1)
    take_turns(entrants, Where(), effort, lambda number, entrant: order.append(f"{number}{entrant.name[-1]}"))
    assert sorted(order) == [f"{number}{plan}" for number in range(6) for plan in "12"]
    assert [name[0] for name in order] == [str(number) for number in range(6) for _ in range(2)]
    assert len({tuple(order[k : k + 2][i][1] for i in range(2)) for k in range(0, 12, 2)}) == 2
    assert all(turn.value > 0 and turn.open_s > 0 and turn.first_s > 0 for e in entrants for turn in e.turns)


@pytest.mark.parametrize("mode", ["throughput", "latency"])
def test_command(mode: str, plans: Path, tmp_path: Path) -> None:
    options = ("--rounds", "2", "--count", "4", "--mode", mode)
    done = inside("bench", plans, *options, "--json", "--csv", tmp_path / "turns.csv")
    assert done.code == ExitCode.OK, done.stderr
    found = document(done.stdout)
    assert [plan["verdict"] for plan in found["plans"]] == [None, UNDECIDED]
    assert all(len(plan["turns"]) == 2 and plan["median"] > 0 for plan in found["plans"])
    with (tmp_path / "turns.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4
    shown = inside("bench", plans / "01", plans / "02", *options).stdout
    assert "2 turns of 4 inferences each" in shown and "too few turns to tell" in shown
    error(inside("bench", plans, "--mode", "power"), ExitCode.USAGE, "--mode is 'power'")
    error(inside("bench", tmp_path / "none"), ExitCode.BAD_PLAN, "none")


def test_a_plan_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        entrants_of([tmp_path])


def test_heat_of_a_device(tmp_path: Path) -> None:
    folder = tmp_path / "apex_0"
    folder.mkdir()
    assert heat.heat_of("/dev/apex_0", tmp_path) is None
    (folder / "temp").write_text("83250\n")
    assert str(heat.heat_of("/dev/apex_0", tmp_path)) == "83.2 C"
    for k, trip in enumerate((85_000, 90_000, 95_000)):
        (folder / f"trip_point{k}_temp").write_text(f"{trip}\n")
    (folder / "freq").write_text("500000000\n")
    found = heat.heat_of("/dev/apex_0", tmp_path)
    assert found is not None and found.is_hot and found.trips_c == (85.0, 90.0, 95.0) and found.clock_mhz == 500
    (folder / "temp").write_text("nonsense")
    assert heat.heat_of("/dev/apex_0", tmp_path) is None
    assert heat.heat_of("/sys/bus/usb/devices/1-2", tmp_path) is None


def test_heat_is_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client")
    from segsolve_runtime import Pipeline
    from segsolve_runtime.observe.exporter import MetricsCollector, Observed

    (tmp_path / "apex_0").mkdir()
    (tmp_path / "apex_0" / "temp").write_text("61500")
    monkeypatch.setattr(heat, "SYSFS", tmp_path)
    folder = write_folder(tmp_path / "plan", tiny_model.plan(), tiny_model.sketches())
    with Pipeline.load(folder) as pipeline:
        devices = ("/dev/apex_0", "/sys/bus/usb/devices/1-2")
        observed = Observed(plan=pipeline.plan, metrics=pipeline.metrics, devices=devices)
        found = {m.name: m for m in MetricsCollector([observed]).collect()}
    (sample,) = found["segsolve_device_celsius"].samples
    assert sample.value == 61.5 and sample.labels == {"device": "/dev/apex_0"}
