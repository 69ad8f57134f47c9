"""`segsolve tune` of a pool: whole plans are run, and the costs of each model on each kind become what they took."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve.library.named_pools import parse_pool
from segsolve.library.pool_tune import TunedPool, tune_pool
from segsolve.pool.evaluate import check_pool
from segsolve.profile.load import kind_parts, load_profile
from segsolve.refine import End
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.pool import PoolFolder, load_pool
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.pool import Pool

from ..cli.tool import document, error, inside
from ..compiler.test_replan import installed
from ..standins.edgetpu import StandIn
from .conftest import POOL

__all__ = ["installed"]

PCI, USB = "/dev/apex_0", "/sys/bus/usb/devices/1-2"


def run(folder: PoolFolder) -> dict[str, Metrics]:
    with Pool.load(folder) as pool:
        pool.run({name: random_frames(p.plan, 2, 0) for name, p in pool.pipelines.items()}, lambda model, result: None)
        return dict(pool.metrics().models)


@pytest.fixture(scope="module")
def tuned(networks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> TunedPool:
    return tune_pool(
        networks[::2],
        parse_pool(POOL),
        run,
        backend="litert",
        into=tmp_path_factory.mktemp("tuned"),
        most_rounds=4,
        sharing="never",
    )


def test_the_costs_become_what_the_stages_took(tuned: TunedPool, networks: list[Path]) -> None:
    assert tuned.solved is not None
    assert all(done.ran_ns > 0 for done in tuned.rounds)
    measured = {(each.first_op, each.last_op) for path in tuned.profiles for each in load_profile(path).segments}
    plan = tuned.solved.found.plan
    assert plan is not None
    stages = {(stage.ops[0], stage.ops[-1]) for pipeline in plan.pipelines for stage in pipeline.stages}
    assert stages <= measured
    known = [kind_parts(device) for device in parse_pool(tuned.pool).devices]
    assert {Path(part) for parts in known for part in parts[1:]} == set(tuned.profiles)
    assert all(len(parts) == len(set(parts)) for parts in known)


def test_it_ends_where_the_best_plan_ran_before(tuned: TunedPool) -> None:
    assert tuned.end in (End.STANDS, End.LIMIT)
    assert tuned.solved is not None
    assert tuned.solved.found.plan is not None
    if tuned.end is End.STANDS:
        assert tuned.last.found.score is not None
        assert tuned.solved.found.score is not None
        assert tuned.solved.problem is tuned.last.problem
        assert check_pool(tuned.solved.problem, tuned.solved.found.plan) == ()
        assert tuned.solved.found.bound <= tuned.solved.found.score.period


def test_the_command_tunes_on_edge_tpus(
    installed: None, standin: StandIn, networks: list[Path], tmp_path: Path
) -> None:
    standin.attach(f"pci={PCI}", f"usb={USB}")
    asked = ("--pool", POOL, "--backend", "edgetpu", "--devices", "pci:0,usb:0", "--periods", "3", "--iterations", "2")
    more = ("--time-limit", "2", "--sharing", "never", "--no-verify", "--profile-out", tmp_path / "measured")
    done = inside("tune", *networks[::2], *asked, *more, "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    assert "round 1: a period of " in done.stderr
    assert set(standin.used) == {PCI, USB}
    devices = [kind.device for kind in load_pool(tmp_path / "plan").pool.kinds]
    assert "solve again with --pool " in done.stderr
    assert all(device.startswith("edgetpu-") for device in devices)
    assert document(inside("check", tmp_path / "plan", "--json").stdout)["certified"] is True


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "need a --pool"),
        (("--pool", POOL, "--tpus", "2"), "--pool and --tpus exclude each other"),
        (("--pool", POOL, "--devices", "usb:0"), "--devices says nothing on litert"),
        (("--pool", POOL, "--objective", "latency"), "the least latency of a pool is that at some rates"),
        (("--pool", POOL, "--objective", "batch"), "a pool is not solved for batch"),
        (("--pool", POOL, "--cut-before", "3"), "it is not said of which model"),
    ],
)
def test_what_makes_no_sense_is_said(networks: list[Path], more: tuple[str, ...], words: str) -> None:
    error(inside("tune", *networks[::2], *more), ExitCode.USAGE, words)


@pytest.mark.parametrize("more", [("--max-latency", "20ms"), ("--objective", "latency"), ("--tpu-memory", "6MiB")])
def test_one_kind_takes_nothing_that_only_pools_have(networks: list[Path], more: tuple[str, str]) -> None:
    error(inside("tune", networks[0], "--tpus", "2", *more), ExitCode.USAGE, f"{more[0]} is ")


def test_constraints_and_an_objective_hold_by_the_costs_as_measured(networks: list[Path], tmp_path: Path) -> None:
    names = [path.stem for path in networks[::2]]
    rates = [part for name in names for part in ("--rate", f"{name}=1")]
    most = f"{names[0]}=10s,{names[1]}=20s"
    asked = ("--pool", POOL, "--objective", "latency", *rates, "--max-latency", most)
    effort = ("--periods", "2", "--iterations", "3", "--time-limit", "3", "--no-verify")
    done = inside("tune", *networks[::2], *asked, *effort, "--json", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    found = document(done.stdout)
    assert 1 <= len(found["rounds"]) <= 3
    kept = [each["corrected_ns"] for each in found["rounds"] if each["keeps"]]
    answer = found["answer"]
    assert answer["objective"] == "latency"
    assert answer["objective_ns"] == max(model["latency_ns"] for model in answer["models"])
    if found["stopped_by"] == End.STANDS:
        assert answer["objective_ns"] == min(kept)
    assert [model["constraints"] for model in answer["models"]] == [
        {"max_latency_ns": 10**10},
        {"max_latency_ns": 2 * 10**10},
    ]
    file = load_pool(tmp_path / "plan").pool
    assert file.solution.objective == "latency"
    assert inside("check", tmp_path / "plan").code in (ExitCode.OK, ExitCode.NO_CERTIFICATE)


def test_a_plan_that_breaks_a_limit_once_it_is_measured_is_none(networks: list[Path], tmp_path: Path) -> None:
    """Predicted within the limit, on this machine far from it: what was measured counts."""
    name = networks[2].stem
    predicted = document(
        inside("solve", networks[2], "--pool", POOL, "--objective", "latency", "--rate", f"{name}=1", "--json").stdout
    )
    limit = f"{predicted['objective_ns'] * 1.01 / 1e6:.6f}ms"
    effort = ("--periods", "2", "--iterations", "2", "--time-limit", "3", "--no-verify", "--json")
    done = inside("tune", networks[2], "--pool", POOL, "--max-latency", limit, *effort, "-o", tmp_path / "plan")
    found = document(done.stdout)
    assert found["answer"] is None
    assert not any(each["keeps"] for each in found["rounds"])
    assert done.code == ExitCode.NO_PLAN, done.stderr
    assert not (tmp_path / "plan").exists()
