"""`--json` prints one document, with the documented keys, that agrees with itself."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from segsolve.errors import ExitCode

from ..models import Net
from .tool import document, inside, keys

SOLVE: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "planner": str,
    "objective_ns": int,
    "bound_ns": int,
    "gap": float,
    "wall_s": float,
    "throughput_fps": float,
    "latency_ns": int,
    "stages": list,
}
STAGE: dict[str, type | tuple[type, ...]] = dict.fromkeys(
    ("first_op", "last_op", "time_ns", "onchip_bytes", "offchip_bytes", "input_bytes", "output_bytes"), int
)

ONE_CHAIN = ("--layout", "pipeline", "--cuts", "chain")


def call(*args: str | Path) -> Any:
    done = inside(*args, "--json")
    assert done.code == ExitCode.OK, done.stderr
    return document(done.stdout)


def test_devices() -> None:
    devices = call("devices")["devices"]
    assert {"edgetpu-dev-board", "edgetpu-usb"} <= {d["name"] for d in devices}
    assert all(d["memory_bytes"] == 8 * 2**20 for d in devices)


def consistent(result: dict[str, Any], operations: int) -> None:
    """Check one plan's document against itself."""
    keys(result, SOLVE)
    stages = result["stages"]
    for stage in stages:
        keys(stage, STAGE)
        assert stage["first_op"] <= stage["last_op"]
    assert (stages[0]["first_op"], stages[-1]["last_op"]) == (0, operations - 1)
    assert all(after["first_op"] == before["last_op"] + 1 for before, after in pairwise(stages))
    times = [stage["time_ns"] for stage in stages]
    shared = result["pipelines"][0] if "pipelines" in result else result
    period = max(*times, shared["link_ns"], shared["host_ns"])
    assert (result["objective_ns"], result["latency_ns"]) == (period, sum(times))
    assert result["throughput_fps"] == pytest.approx(1e9 / period)
    assert 0 <= result["bound_ns"] <= result["objective_ns"]
    assert result["gap"] == pytest.approx((result["objective_ns"] - result["bound_ns"]) / result["objective_ns"])
    assert result["status"] == ("optimal" if result["bound_ns"] == result["objective_ns"] else "feasible")


@pytest.mark.parametrize("planner", ["cpsat", "dp", "brute"])
def test_solve(planner: str, net: Path, roomy: Path) -> None:
    result = call("solve", net, "--tpus", "3", "--planner", planner, *ONE_CHAIN, "--device", roomy)
    consistent(result, operations=11)
    assert (result["status"], result["planner"], len(result["stages"]) <= 3) == ("optimal", planner, True)


def test_heuristics_claim_no_more_than_they_prove(net: Path) -> None:
    result = call("solve", net, "--tpus", "3", "--planner", "uniform")
    keys(result, SOLVE)
    assert result["status"] == "feasible"
    assert len(result["stages"]) == 3


def _compared(comparison: dict[str, Any]) -> None:
    keys(comparison, {"model": str, "bounds": list, "one_tpu": dict, "strategies": list})
    (bound,) = comparison["bounds"]
    strategies = {s["planner"]: s for s in comparison["strategies"]}
    assert len(strategies) == len(comparison["strategies"])
    assert {"compiler", "uniform", "balanced", "profiled", "greedy", "dp", "cpsat"} <= strategies.keys()
    operations = strategies["cpsat"]["stages"][-1]["last_op"] + 1
    for planner, result in strategies.items():
        assert result["planner"] == planner
        assert len(result["stages"]) <= bound["tpus"]
        assert bound["bound_ns"] <= result["objective_ns"]
        assert strategies["cpsat"]["objective_ns"] <= result["objective_ns"]
        consistent(result | {"status": "optimal"} if result["gap"] == 0 else result, operations)
    assert strategies["cpsat"]["status"] == strategies["dp"]["status"] == "optimal"
    assert strategies["cpsat"]["objective_ns"] == strategies["dp"]["objective_ns"] == bound["bound_ns"]
    assert strategies["cpsat"]["objective_ns"] <= comparison["one_tpu"]["objective_ns"]


@pytest.mark.parametrize("tpus", ["1", "4", "16"])
def test_compare(tpus: str, mobilenet: Path) -> None:
    _compared(call("compare", mobilenet, "--tpus", tpus))


def test_compare_with_weights_that_do_not_fit(dense: Path) -> None:
    comparison = call("compare", dense, "--tpus", "2")
    _compared(comparison)
    assert comparison["one_tpu"]["offchip_bytes"] > 0


def test_inspect(net: Path) -> None:
    result = call("inspect", net)
    keys(
        result, {"model": str, "sha256": str, "file_bytes": int, "weight_bytes": int, "macs": int, "frozen_batch": bool}
    )
    keys(result, dict.fromkeys(("inputs", "outputs", "restrictions", "operations", "cuts"), list))
    keys(result["one_tpu"], dict.fromkeys(("time_ns", "onchip_bytes", "offchip_bytes", "capacity_bytes"), int))
    assert (len(result["inputs"]), len(result["outputs"])) == (2, 2)
    assert result["file_bytes"] == net.stat().st_size
    assert [op["position"] for op in result["operations"]] == list(range(11))
    assert sum(op["weight_bytes"] for op in result["operations"]) == result["weight_bytes"]
    assert sum(op["macs"] for op in result["operations"]) == result["macs"]
    assert all(0 < cut["position"] < 11 and cut["bytes"] > 0 and cut["tensors"] for cut in result["cuts"])


@pytest.mark.parametrize("backend", ["litert", "simulated"])
def test_run(backend: str, plan: Path) -> None:
    result = call("run", plan, "--backend", backend, "--count", "7")
    keys(
        result, {"model": str, "backend": str, "count": int, "elapsed_ns": int, "throughput_fps": float, "stages": list}
    )
    keys(result["predicted"], {"throughput_fps": float, "latency_ns": int, "stage_ns": list})
    assert (result["backend"], result["count"], len(result["stages"])) == (backend, 7, 2)
    assert all(stage["inferences"] == 7 for stage in result["stages"])
    if backend == "simulated":
        assert [stage["busy_ns"] / 7 for stage in result["stages"]] == result["predicted"]["stage_ns"]


def test_verify(plan: Path, net: Path) -> None:
    result = call("verify", plan, net, "--inputs", "3")
    keys(
        result,
        {"identical": bool, "inputs": int, "output_tensors": int, "crossing_tensors": int, "compared_bytes": int},
    )
    assert (result["identical"], result["inputs"], result["output_tensors"]) == (True, 3, 2)


def test_zoo_list() -> None:
    networks = call("zoo", "list")["networks"]
    for network in networks:
        keys(network, {"name": str, "title": str, "input_shape": list, "params": int, "macs": int, "source": str})
    assert {"mobilenet", "resnet101"} <= {network["name"] for network in networks}


def test_writing_a_plan_leaves_stdout_to_the_document(net: Path, tmp_path: Path) -> None:
    done = inside("solve", net, "--tpus", "2", *ONE_CHAIN, "-o", tmp_path / "plan", "--json")
    consistent(document(done.stdout), operations=11)
    assert "wrote" in done.stderr and "verified" in done.stderr


@pytest.mark.parametrize("tpus", ["12", "300"])
def test_more_tpus_than_of_use(tpus: str, net: Path) -> None:
    result = call("solve", net, "--tpus", tpus, *ONE_CHAIN)
    consistent(result, operations=11)
    assert result["tpus"] == int(tpus)
    assert len(result["stages"]) < 12


@pytest.mark.parametrize("tpus", ["3", "64", "300"])
def test_layouts_use_many_tpus(tpus: str, net: Path) -> None:
    result = call("solve", net, "--tpus", tpus)
    keys(result, SOLVE)
    assert result["tpus_used"] == sum(pipeline["tpus"] for pipeline in result["pipelines"]) <= int(tpus)
    rate = sum(1e9 / pipeline["bottleneck_ns"] for pipeline in result["pipelines"])
    if not result["limited_by"]:
        assert result["throughput_fps"] == pytest.approx(rate)
    assert result["throughput_fps"] <= rate * (1 + 1e-9) and result["host_load"] >= result["throughput_fps"] / rate
    assert result["bound_ns"] <= result["objective_ns"] == pytest.approx(1e9 / result["throughput_fps"], abs=1)
    for number, pipeline in enumerate(result["pipelines"]):
        stages = [stage for stage in result["stages"] if stage["pipeline"] == number]
        assert stages == pipeline["stages"]
        covered = sorted(op for s in stages for a, b in s["op_ranges"] for op in range(a, b + 1))
        assert covered == list(range(11))
        shares = [-(-stage["time_ns"] // stage["replicas"]) for stage in stages]
        assert pipeline["bottleneck_ns"] == max(shares)


def test_one_operation(models: Path, tmp_path: Path) -> None:
    one = models / "one.tflite"
    result = call("solve", one, "--tpus", "4", *ONE_CHAIN, "-o", tmp_path / "plan")
    consistent(result, operations=1)
    assert [(s["first_op"], s["last_op"]) for s in result["stages"]] == [(0, 0)]
    for strategy in call("compare", one, "--tpus", "4")["strategies"]:
        assert len(strategy["stages"]) == 1
    assert call("run", tmp_path / "plan", "--count", "3")["count"] == 3
    assert call("verify", tmp_path / "plan", one)["crossing_tensors"] == 0


def test_device_on_which_nothing_takes_time(net: Path, tmp_path: Path) -> None:
    """Its rate is not infinite, which JSON could not hold: a stage counts as 1 ns at least."""
    (tmp_path / "free.toml").write_text(_free_device())
    result = call("compare", net, "--tpus", "2", "--device", tmp_path / "free.toml")
    for strategy in result["strategies"]:
        assert (strategy["objective_ns"], strategy["throughput_fps"], strategy["gap"]) == (0, 1e9, 0)
    assert inside("compare", net, "--tpus", "2", "--device", tmp_path / "free.toml").code == ExitCode.OK


def _free_device() -> str:
    """Return the description of a device, with every time zero."""
    from importlib import resources

    text = (resources.files("segsolve.device") / "catalogue" / "edgetpu-dev-board.toml").read_text()
    sections = text.split("\n[")
    return "\n[".join(
        "\n".join("value = 0.0" if line.startswith("value") else line for line in section.split("\n"))
        if section.startswith(("time.", "host.serial", "host.frame")) and not section.startswith("time.stripe_passes")
        else section
        for section in sections
    )


def test_network_with_a_float_tail(tmp_path: Path) -> None:
    """What comes after the last quantised layer is no reason to refuse a model, nor to print odd numbers."""
    net = Net()
    path = net.write(tmp_path, net.dequantize(net.conv(net.input())))
    consistent(call("solve", path, "--tpus", "2", *ONE_CHAIN), operations=2)


def test_compare_over_numbers_of_tpus(net: Path) -> None:
    result = call("compare", net, "--tpus", "2..3,5")
    assert [b["tpus"] for b in result["bounds"]] == [2, 3, 5]
    assert {(s["tpus"], s["planner"]) for s in result["strategies"]} >= {(k, "cpsat") for k in (2, 3, 5)}
    assert sorted((b["bound_ns"] for b in result["bounds"]), reverse=True) == [b["bound_ns"] for b in result["bounds"]]


@pytest.mark.parametrize("tpus", [1, 4, 6])
def test_compare_shows_layouts(tpus: int, mobilenet: Path) -> None:
    result = call("compare", mobilenet, "--tpus", str(tpus))
    layouts = {layout["layout"]: layout for layout in result["layouts"]}
    assert len(layouts) == len(result["layouts"])
    assert {f"{tpus}x1" if tpus > 1 else "1"} <= layouts.keys()
    (best,) = (layout for layout in layouts.values() if layout["status"] == "optimal")
    assert best is result["layouts"][-1]
    plain = call("solve", mobilenet, "--tpus", str(tpus))
    assert (best["layout"], best["objective_ns"]) == (plain["layout"], plain["objective_ns"])
    (single,) = (s["objective_ns"] for s in result["strategies"] if s["planner"] == "cpsat")
    assert single in [layout["objective_ns"] for layout in layouts.values() if len(layout["pipelines"]) == 1]
    for layout in layouts.values():
        assert layout["objective_ns"] >= best["objective_ns"] >= layout["bound_ns"] > 0
        assert layout["throughput_fps"] == pytest.approx(1e9 / layout["objective_ns"], rel=1e-5)
        assert sum(pipeline["tpus"] for pipeline in layout["pipelines"]) == layout["tpus_used"] <= tpus
        assert layout["latency_ns"] == max(pipeline["latency_ns"] for pipeline in layout["pipelines"])
        rate = sum(1 / pipeline["bottleneck_ns"] for pipeline in layout["pipelines"])
        assert layout["limited_by"] or layout["objective_ns"] == pytest.approx(1 / rate, abs=1)


def test_no_layout_without_a_plan(dense: Path) -> None:
    done = inside("compare", dense, "--tpus", "2", "--no-spill", "--json")
    assert done.code == ExitCode.NO_PLAN
    assert json.loads(done.stdout)["layouts"] == []


def test_compare_as_csv(net: Path, roomy: Path) -> None:
    done = inside("compare", net, "--tpus", "2,3", "--csv", "--device", roomy)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {(row["tpus"], row["planner"]) for row in rows} >= {("2", "compiler"), ("3", "cpsat")}
    layouts = [row for row in rows if row["planner"] in {"layout", "layouts"}]
    assert {(row["tpus"], row["layout"]) for row in rows} >= {("2", "2x1"), ("3", "3x1"), ("2", "2"), ("3", "3")}
    strategies = [row for row in rows if row["planner"] not in {"layout", "layouts"}]
    assert len(strategies) == 2 * 7
    for row in strategies:
        assert max(*map(int, row["stage_ns"].split()), int(row["host_ns"])) == int(row["objective_ns"])
        assert len(row["stage_ns"].split()) == len(row["cuts"].split()) + 1
    for row in layouts:
        pipelines = [max(map(int, stages.split())) for stages in row["stage_ns"].split(" | ")]
        assert int(row["objective_ns"]) + 1 >= 1 / sum(1 / ns for ns in pipelines)
