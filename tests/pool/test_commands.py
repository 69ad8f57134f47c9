"""What a user types about a pool, from solve to run, with the real command, in this process, and real models."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import validate

import segsolve
from generators.documents import device_toml
from segsolve.errors import DeviceError, ExitCode, UsageError
from segsolve.graph.read import read_graph
from segsolve.library.named_pools import parse_pool
from segsolve.library.pool_again import question_of
from segsolve.profile.measured import MeasuredCosts
from segsolve_runtime.contract.pool import load_pool
from segsolve_runtime.observe.measurement import load_measurement
from segsolve_runtime.observe.trace import trace_schema
from segsolve_runtime.pool import Pool, simulate

from ..cli.tool import Done, error
from ..cli.tool import document as parsed
from ..cli.tool import inside as run
from .conftest import MODELS, POOL


def document(done: Done) -> Any:
    return parsed(done.stdout)


def test_a_pool_of_one_model_is_proven_and_certified(networks: list[Path], tmp_path: Path) -> None:
    done = run("solve", networks[0], "--pool", "edgetpu-m2:2,edgetpu-usb:1", "-o", tmp_path / "plan", "--json")
    found = document(done)
    assert found["status"] == "optimal"
    assert found["gap"] == 0
    assert [kind["count"] for kind in found["pool"]] == [2, 1]
    checked = document(run("check", tmp_path / "plan", "--json"))
    assert checked["certified"] is checked["optimal"] is True


@pytest.mark.parametrize(
    ("network", "device", "tpus"), [(2, "edgetpu-m2", 2), (0, "edgetpu-usb", 3), (1, "edgetpu-card", 4)]
)
def test_one_model_on_one_kind_is_the_plain_question(
    networks: list[Path], network: int, device: str, tpus: int
) -> None:
    asked = ("--cuts", "chain", "--json")
    pooled = document(run("solve", networks[network], "--pool", f"{device}:{tpus}", *asked))
    plain = document(run("solve", networks[network], "--tpus", str(tpus), "--device", device, *asked))
    assert pooled["status"] == "optimal"
    assert pooled["pipelines"] == plain["pipelines"]
    assert pooled["objective_ns"] == plain["objective_ns"] == pooled["bound_ns"]


def test_the_shared_plan_is_certified(shared: Path) -> None:
    checked = document(run("check", shared, "--json"))
    assert checked["certified"] is True, checked
    assert [step["name"] for step in checked["steps"]] == [
        *("files", "plan", "costs", "resources", "alone", "shared", "bound")
    ]


def test_the_shared_plan_is_verified(shared: Path) -> None:
    found = document(run("verify", shared, "--json"))
    assert set(found) == set(MODELS)
    assert all(each["identical"] for each in found.values())


def test_a_run_gives_each_model_its_own_outputs(shared: Path, tmp_path: Path) -> None:
    done = run("run", shared, "--count", "3", "-o", tmp_path / "together", "--json")
    rates = {model["name"]: model for model in document(done)["models"]}
    folder = load_pool(shared)
    for model in folder.pool.models:
        assert rates[model.name]["count"] == 3 * model.weight
        alone = tmp_path / f"{model.name}.npz"
        count = str(3 * model.weight)
        assert run("run", shared / model.folder, "--count", count, "-o", alone).code == ExitCode.OK
        with np.load(alone) as one, np.load(tmp_path / "together" / f"{model.name}.npz") as other:
            outputs = [name for name in one.files if name.startswith("output:") or one[name].dtype == np.int8]
            assert outputs
            for name in outputs:
                assert np.array_equal(one[name], other[name])


def test_a_run_gives_each_model_a_profile_of_each_kind(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    into = tmp_path / "measured"
    done = run("run", shared, "--count", "1", "--model", networks[0].parent, "--profile-out", into)
    assert done.code == ExitCode.OK, done.stderr
    text = done.stderr.rpartition("--pool ")[2].splitlines()[0]
    pool = load_pool(shared).pool
    lives = {(pool.kinds[device.kind].name, own.model) for device in pool.devices for own in device.residents}
    assert {path.name for path in into.iterdir()} == {f"{kind}-{model}.json" for kind, model in lives}
    assert all(f"{into}/{kind}-{model}.json" in text for kind, model in lives)
    graphs = {path.stem: read_graph(path) for path in networks}
    kinds = [kind.name for kind in pool.kinds]
    for kind, model in lives:
        costs = parse_pool(text).costs()[kinds.index(kind)](graphs[model])
        assert isinstance(costs, MeasuredCosts)
        assert costs.problem(tpus=1).measured == ()  # all share their TPUs: what they took is not theirs alone


def test_constraints_are_of_each_model_and_certified(networks: list[Path], tmp_path: Path) -> None:
    asked = ("--max-latency", "mobilenet=60ms,squeezenet1.0=40ms", "--cut-before", "mobilenet=10", "--max-stages", "2")
    done = run("solve", networks[0], networks[2], "--pool", POOL, *asked, "-o", tmp_path / "plan", "--json")
    kept = {model["name"]: model["constraints"] for model in document(done)["models"]}
    assert kept["mobilenet"] == {"cut_before": [10], "max_latency_ns": 60_000_000, "max_stages": 2}
    assert kept["squeezenet1.0"] == {"max_latency_ns": 40_000_000, "max_stages": 2}
    for model in load_pool(tmp_path / "plan").pool.models:
        assert model.constraints == kept[model.name]
        assert model.latency_ns <= kept[model.name]["max_latency_ns"]
    checked = document(run("check", tmp_path / "plan", "--json"))
    assert checked["certified"] is True
    assert "mobilenet with stages that begin at operation 10" in checked["verdict"]
    page = run("report", tmp_path / "plan", "-o", tmp_path / "plan.html")
    assert page.code == ExitCode.OK, page.stderr


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--max-latency", "mobile=2ms"), "'mobile' is no model here"),
        (("--cut-before", "10"), "it is not said of which model"),
        (("--cut-before", "mobilenet=7000"), "there is no operation 7000"),
        (("--pin", "mobilenet=3=0"), "a stage of a pool has no number"),
        (("--min-fps", "30"), "--min-fps is of one model"),
    ],
)
def test_what_is_wrong_with_a_constraint_is_said(networks: list[Path], option: tuple[str, str], text: str) -> None:
    done = run("solve", networks[0], networks[2], "--pool", POOL, *option)
    assert done.code == ExitCode.USAGE
    assert text in done.stderr


def test_a_fewest_rate_of_one_model_is_its_rate(networks: list[Path]) -> None:
    done = run("solve", networks[2], "--pool", POOL, "--min-fps", "1e5", "--json")
    assert document(done)["keeps_rates"] is False
    assert done.code == ExitCode.NO_PLAN


def test_the_least_latency_is_proven_where_each_model_has_a_tpu(networks: list[Path], tmp_path: Path) -> None:
    asked = ("--objective", "latency", "--rate", "mobilenet=30")
    done = run("solve", networks[0], networks[2], "--pool", "edgetpu-m2:3", *asked, "-o", tmp_path / "plan")
    assert "no rate was said of squeezenet1.0: 1 inference per second is kept" in done.stderr
    assert "Proven" in done.stdout
    checked = document(run("check", tmp_path / "plan", "--json"))
    assert checked["certified"] is checked["optimal"] is True
    assert "30 mobilenet per second" in checked["verdict"]


def test_a_kind_has_measured_costs_of_the_models_that_were_measured(networks: list[Path], tmp_path: Path) -> None:
    profile = tmp_path / "squeezenet.json"
    assert run("profile", networks[2], "-o", profile).code == ExitCode.OK
    asked = ("solve", networks[0], networks[2], "--sharing", "never", "--no-verify", "--json")
    plain = document(run(*asked, "--pool", "edgetpu-m2:2"))
    measured = run(*asked, "--pool", f"edgetpu-m2+{profile}:2", "-o", tmp_path / "plan")
    found = document(measured)
    assert found["pool"] == plain["pool"]
    times = [[[s["time_ns"] for p in m["pipelines"] for s in p] for m in each["models"]] for each in (plain, found)]
    assert times[0][0] == times[1][0]
    assert times[0][1] != times[1][1]
    assert document(run("check", tmp_path / "plan", "--json"))["certified"] is True
    assert "lacks" not in run("report", tmp_path / "plan", "-o", tmp_path / "plan.html").stderr
    again = segsolve.replan(tmp_path / "plan", lost=[], model=networks[0].parent)
    assert again.found.value == load_pool(tmp_path / "plan").pool.period_ns
    odd = run(*asked, "--pool", "edgetpu-m2+edgetpu-usb:2")
    assert odd.code == ExitCode.BAD_DEVICE
    assert "edgetpu-usb is not a profile" in odd.stderr


def test_a_run_leaves_a_trace_of_all_devices_and_a_measurement_of_each_model(shared: Path, tmp_path: Path) -> None:
    trace, measured = tmp_path / "traces" / "pool.json", tmp_path / "measured"
    done = run("run", shared, "--count", "3", "--trace", trace, "--timeline", measured)
    assert done.code == ExitCode.OK, done.stderr
    events = json.loads(trace.read_text())
    validate(events, trace_schema())
    folder = load_pool(shared)
    names = {e["tid"]: e["args"]["name"] for e in events["traceEvents"] if e["name"] == "thread_name"}
    assert [*names.values()] == [device.name for device in folder.pool.devices]
    for process in (1, 2):
        slices = [e for e in events["traceEvents"] if e["ph"] == "X" and e["pid"] == process]
        for tid, name in names.items():
            own = sorted((e["ts"], e["dur"], e["cat"]) for e in slices if e["tid"] == tid)
            lives = next(device for device in folder.pool.devices if device.name == name)
            assert {model for _, _, model in own} == {resident.model for resident in lives.residents}
            if process == 1:
                assert all(ts + dur <= following + 0.01 for (ts, dur, _), (following, _, _) in pairwise(own))
    for model, plan in zip(folder.pool.models, folder.plans, strict=True):
        assert load_measurement(measured / f"{model.name}.json", plan.plan).backend == "litert"
    simulated = run("run", shared, "--backend", "simulated", "--trace", trace, "--count", "5")
    assert simulated.code == ExitCode.OK
    assert {e["pid"] for e in json.loads(trace.read_text())["traceEvents"]} == {1}


def test_a_timeline_that_makes_no_sense_is_refused_before_the_run(shared: Path, tmp_path: Path) -> None:
    done = run("run", shared, "--timeline", tmp_path / "all.json")
    assert done.code == ExitCode.USAGE
    assert "name a folder" in done.stderr
    done = run("run", shared, "--backend", "simulated", "--timeline", tmp_path / "all")
    assert "a simulated pool measures nothing" in done.stderr


def test_where_the_host_limits_a_simulated_pool_is_held_to_it(networks: list[Path], tmp_path: Path) -> None:
    kinds = []
    for device in ("edgetpu-m2", "edgetpu-usb"):
        description = tmp_path / f"busy-{device}.toml"
        description.write_text(device_toml(device, {"host.serial": 1.0}), encoding="utf-8")
        kinds.append(f'[[kind]]\ndevice = "{description}"\ncount = 3\n')
    pool = tmp_path / "pool.toml"
    pool.write_text("\n".join(kinds), encoding="utf-8")
    asked = ("--pool", pool, "--sharing", "never", "--weights", "squeezenet1.0=2,mobilenet=1")
    done = run("solve", networks[2], networks[0], *asked, "-o", tmp_path / "plan")
    assert "The host is what limits" in done.stdout
    folder = load_pool(tmp_path / "plan")
    assert folder.pool.limited_by == "host"
    assert max(device.load_ns for device in folder.pool.devices) < 0.97 * folder.pool.period_ns  # else nothing is shown
    for model in document(run("run", tmp_path / "plan", "--backend", "simulated", "--json"))["models"]:
        assert model["throughput_fps"] == pytest.approx(model["predicted_fps"], rel=0.03)
    emulated = run("run", tmp_path / "plan", "--backend", "emulated", "--count", "2")
    assert "the host that the devices share limits this plan, and is not emulated" in emulated.stderr
    assert document(run("check", tmp_path / "plan", "--json"))["certified"] is True


def test_simulated_rates_are_the_predicted_ones(shared: Path) -> None:
    folder = load_pool(shared)
    done = simulate(folder, periods=200)
    for m, model in enumerate(folder.pool.models):
        assert len(done.ends_ns[m]) == 200 * model.weight
        assert done.rate_fps(m) == pytest.approx(model.rate_fps, rel=0.03)
    busy = [device.load_ns / folder.pool.period_ns for device in folder.pool.devices]
    assert [ns / done.elapsed_ns for ns in done.busy_ns] == pytest.approx(busy, rel=0.05)


def test_devices_that_are_shared_run_one_stage_at_a_time(shared: Path) -> None:
    """Emulated stages take their predicted times, one after the other on a device that they share."""
    folder = load_pool(shared)
    with Pool.load(shared, backend="emulated") as pool:
        frames = {name: [_zeros(pool, name)] * (6 * folder.pool.model(name).weight) for name in MODELS}
        pool.run(frames, lambda model, result: None)
        metrics = pool.metrics()
    for number, device in enumerate(folder.pool.devices):
        least = 0
        for resident in device.residents:
            plan = folder.plans[MODELS.index(resident.model)].plan
            time = plan.pipelines[resident.pipeline].stages[resident.stage].prediction.time_ns
            least += time * 6 * folder.pool.model(resident.model).weight
        assert metrics.elapsed_ns >= least * 0.9, number
    assert all(metrics.models[name].count == len(frames[name]) for name in MODELS)


def _zeros(pool: Pool, name: str) -> dict[str, Any]:
    plan = pool.pipelines[name].plan
    return {tensor: np.zeros(plan.tensor(tensor).shape, dtype=plan.tensor(tensor).dtype) for tensor in plan.inputs}


def test_compare_shows_every_way(networks: list[Path]) -> None:
    done = run("compare", *networks[:2], "--pool", POOL, "--weights", "mobilenet=2,mobilenetv2=1", "--json")
    ways = {way["name"]: way for way in document(done)["ways"]}
    assert list(ways) == ["whole", "placed", "all", "swap", "dedicated", "shared", "copies"]
    searched = [ways[name] for name in ("dedicated", "shared", "copies")]
    assert min(way["period_ns"] for way in searched) == min(way["period_ns"] for way in ways.values())
    assert all(way["bound_ns"] <= way["period_ns"] for way in searched)
    assert ways["swap"]["period_ns"] > ways["all"]["period_ns"]


def test_compare_leaves_out_ways_that_do_not_keep_what_is_asked(networks: list[Path]) -> None:
    asked = ("--pool", "edgetpu-m2:2", "--cut-before", "mobilenet=10", "--time-limit", "20")
    done = run("compare", *networks[::2], *asked, "--json")
    ways = {way["name"]: way["period_ns"] for way in document(done)["ways"]}
    assert {name for name, period in ways.items() if period is None} >= {"whole", "placed", "all", "swap"}
    assert ways["shared"] > 0


def test_rates_that_cannot_be_made_end_with_a_code(networks: list[Path]) -> None:
    rates = ("--rate", "mobilenet=5000", "--rate", "squeezenet1.0=10")
    done = run("solve", networks[0], networks[2], "--pool", "edgetpu-m2:1", *rates, "--time-limit", "5")
    assert done.code == ExitCode.NO_PLAN
    assert "rates that were asked for" in done.stderr


def test_latency_at_rates(networks: list[Path]) -> None:
    rates = ("--rate", "mobilenet=30", "--rate", "squeezenet1.0=10", "--objective", "latency")
    found = document(run("solve", networks[0], networks[2], "--pool", POOL, *rates, "--json"))
    assert found["keeps_rates"] is True
    assert found["objective_ns"] == max(model["latency_ns"] for model in found["models"])
    assert found["bound_ns"] <= found["objective_ns"]


def test_a_card_has_a_short_name() -> None:
    assert parse_pool("card8") == parse_pool("edgetpu-card:8")
    assert parse_pool("edgetpu-usb, card2").pool.notation == parse_pool("edgetpu-usb:1,edgetpu-card:2").pool.notation
    with pytest.raises(UsageError, match="number of edgetpu-card"):
        parse_pool("card0")


def test_a_file_describes_a_pool(networks: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[[kind]]\nname = "fast"\ndevice = "edgetpu-m2"\ncount = 2\ndevices = ["pci:0", "pci:1"]\n'
        '[[kind]]\ndevice = "edgetpu-usb"\n'
    )
    run("solve", networks[2], "--pool", file, "-o", tmp_path / "plan", "--no-verify")
    devices = load_pool(tmp_path / "plan").pool.devices
    assert [(device.name, device.attached) for device in devices] == [
        ("fast:0", "pci:0"),
        ("fast:1", "pci:1"),
        ("edgetpu-usb:0", None),
    ]


def test_what_is_known_better_of_a_pool_is_kept(networks: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'host_cores = 3\n[[kind]]\ndevice = "edgetpu-m2"\nmemory = "7MiB"\n[[kind]]\ndevice = "edgetpu-usb"\n'
    )
    known = ("--tpu-memory", "edgetpu-usb=6MiB", "--optimistic", "--sharing", "never", "--no-verify")
    done = run("solve", *networks[::2], "--pool", file, *known, "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    folder = load_pool(tmp_path / "plan")
    assert [(kind.memory_bytes, kind.optimistic) for kind in folder.pool.kinds] == [
        (7 * 2**20, True),
        (6 * 2**20, True),
    ]
    assert folder.pool.host_cores == 3
    assert document(run("check", tmp_path / "plan", "--json"))["certified"] is True
    again = question_of(folder, models=networks[0].parent).problem
    assert again.host_cores == 3
    sizes = [
        kind.memory_bytes - problem.capacity_bytes
        for kind, problem in zip(folder.pool.kinds, again.costs[0], strict=True)
    ]
    assert sizes[0] == sizes[1] >= 0


def test_operations_run_where_they_are_pinned(networks: list[Path], tmp_path: Path) -> None:
    pins = ("--pin", "mobilenet=20=edgetpu-m2", "--pin", "squeezenet1.0=edgetpu-usb", "--no-verify")
    asked = ("--pool", POOL, "--time-limit", "3", *pins)
    done = run("solve", networks[0], networks[2], *asked, "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    folder = load_pool(tmp_path / "plan")
    for model, plan in zip(folder.pool.models, folder.plans, strict=True):
        device_of = folder.device_of(model.name)
        for place, device in device_of.items():
            ops = plan.plan.pipelines[place.pipeline].stages[place.stage].ops
            kind = folder.pool.kinds[folder.pool.devices[device].kind].name
            assert kind == "edgetpu-usb" or model.name == "mobilenet"
            assert kind == "edgetpu-m2" or model.name != "mobilenet" or 20 not in ops
    checked = document(run("check", tmp_path / "plan", "--json"))
    assert checked["certified"] is True
    assert "mobilenet with operation 20 on edgetpu-m2" in checked["verdict"]
    told: list[str] = []
    segsolve.replan(tmp_path / "plan", lost=["edgetpu-usb:0"], model=networks[0].parent, tell=told.append)
    assert any("no device is left that squeezenet1.0 was asked to have" in line for line in told)


def test_a_pool_has_one_host(networks: list[Path], tmp_path: Path) -> None:
    two = "edgetpu-m2:1,edgetpu-usb-pi5:1"
    refused = run("solve", networks[2], "--pool", two)
    error(refused, ExitCode.BAD_DEVICE, "one host", "edgetpu-m2 (", "edgetpu-usb-pi5 (")
    asked = ("--host-of", "edgetpu-usb-pi5", "--no-verify")
    assert run("solve", networks[2], "--pool", two, *asked, "-o", tmp_path / "plan").code == ExitCode.OK
    problem = question_of(load_pool(tmp_path / "plan"), models=networks[0].parent).problem
    assert len({costs.host for costs in problem.costs[0]}) == 1
    on_pi = parse_pool("edgetpu-usb-pi5").costs()[0](read_graph(networks[2])).problem(tpus=1)
    assert problem.costs[0][0].host == on_pi.host
    assert document(run("check", tmp_path / "plan", "--json"))["certified"] is True
    error(run("solve", networks[2], "--tpus", "2", *asked[:2]), ExitCode.USAGE, "--host-of is of a pool")
    error(run("batch", *networks[::2], "--pools", two, "-o", tmp_path / "batch"), ExitCode.BAD_DEVICE, "one host")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('host_of = 3\n[[kind]]\ndevice = "edgetpu-m2"\n', "host_of is 3"),
        ('hosts = 3\n[[kind]]\ndevice = "edgetpu-m2"\n', "a pool has no 'hosts'"),
        ('host_cores = "3"\n[[kind]]\ndevice = "edgetpu-m2"\n', "host_cores is '3'"),
        ('optimistic = 1\n[[kind]]\ndevice = "edgetpu-m2"\n', "optimistic is 1"),
        ('[[kind]]\ndevice = "edgetpu-m2"\nmemory = "much"\n', "'much' is not a size"),
    ],
)
def test_what_a_pool_file_cannot_know_is_said(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(DeviceError, match=re.escape(words)):
        parse_pool(str(file))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), ("need a --pool", "squeezenet1.0")),
        (("--pool", "edgetpu-m2:0"), ("edgetpu-m2 is 0",)),
        (("--pool", "edgetpu-m2:1:2"), ("--pool is",)),
        (("--pool", POOL, "--pin", "1=edgetpu-usb"), ("--pin", "not said of which model")),
        (
            ("--pool", POOL, "--pin", "mobilenet=1=edgetpu-usb", "--pin", "mobilenet=edgetpu-m2"),
            ("operation 1 of mobilenet on edgetpu-m2 and on edgetpu-usb",),
        ),
        (("--pool", POOL, "--rate", "nobody=3"), ("nobody", "no model here")),
        (("--pool", POOL, "--rate", "mobilenet=3"), ("squeezenet1.0",)),
        (("--pool", POOL, "--rate", "mobilenet=0", "--rate", "squeezenet1.0=1"), ("the rate of mobilenet",)),
        (("--pool", POOL, "--weights", "mobilenet=x"), ("--weights is",)),
        (("--pool", POOL, "--weights", f"mobilenet={'9' * 5000}"), ("--weights is",)),
        (("--pool", POOL, "--weights", "mobilenet=1,mobilenet=2"), ("--weights names 'mobilenet' twice",)),
        (("--pool", POOL, "--rate", "mobilenet=1e99999999", "--rate", "squeezenet1.0=1"), ("the rate of mobilenet",)),
        (("--pool", POOL, "--objective", "latency"), ("the least latency of a pool",)),
        (("--pool", POOL, "--objective", "batch"), ("not solved for batch",)),
        (("--pool", POOL, "--sharing", "maybe"), ("--sharing is",)),
    ],
)
def test_what_makes_no_sense_is_said(networks: list[Path], more: tuple[str, ...], words: tuple[str, ...]) -> None:
    error(run("solve", networks[0], networks[2], *more), ExitCode.USAGE, *words)


def test_a_model_with_a_comma_and_an_equals_sign_in_its_name(networks: list[Path], tmp_path: Path) -> None:
    odd = shutil.copy(networks[0], tmp_path / "a,b=c.tflite")
    common = ("solve", odd, networks[2], "--pool", POOL, "--time-limit", "1", "--json")
    weights = ("--weights", "squeezenet1.0=2,a,b=c=3", "--max-latency", "a,b=c=1s,squeezenet1.0=2s")
    found = document(run(*common, *weights))
    assert [(m["name"], m["weight"]) for m in found["models"]] == [("a,b=c", 3), ("squeezenet1.0", 2)]
    found = document(run(*common, "--rate", "a,b=c=3", "--rate", "squeezenet1.0=1"))
    assert [(m["name"], m["weight"]) for m in found["models"]] == [("a,b=c", 3), ("squeezenet1.0", 1)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("solve --pool edgetpu-m2:2 --tpus 8", "--pool and --tpus exclude each other"),
        ("compare --pool edgetpu-m2:2 --device edgetpu-usb", "--pool and --device exclude each other"),
        ("compare --tpus 2 --max-stages 2", "--max-stages is for a --pool"),
        ("solve --pool edgetpu-m2:1,edgetpu-usb:1 --within 5%", "--within is not taken"),
        ("solve --pool edgetpu-m2:1,edgetpu-usb:1 --pick 1", "--pick is not taken"),
        ("compare --pool edgetpu-m2:1,edgetpu-usb:1 --tpu-memory edgetpu=1MiB", "'edgetpu' is no kind of the pool"),
    ],
)
def test_nothing_that_was_asked_for_is_passed_over(networks: list[Path], line: str, words: str) -> None:
    name, *more = line.split()
    error(run(name, networks[0], *more), ExitCode.USAGE, words)


@pytest.mark.parametrize("more", [(), ("--sharing", "never"), ("--objective", "latency", "--rate", "one=1")])
def test_a_time_limit_that_is_over_at_once(networks: list[Path], more: tuple[str, ...]) -> None:
    models = [networks[0]] if "--rate" in more else networks[:2]
    more = tuple(word.replace("one=", f"{networks[0].stem}=") for word in more)
    done = run("solve", *models, "--pool", "edgetpu-m2:2,edgetpu-usb:1", *more, "--time-limit", "1e-6")
    assert done.code == ExitCode.OK, done.stderr
    assert re.search("Found by (whole models|simple use)", done.stdout) and "Stopped by: time limit" in done.stdout


def test_more_models_than_tpus_that_may_not_share(networks: list[Path]) -> None:
    done = run("solve", networks[0], networks[2], "--pool", "edgetpu-m2:1", "--sharing", "never")
    error(done, ExitCode.NO_PLAN, "serves every model")


def test_residents_are_compiled_together_in_their_order(
    shared: Path, tmp_path: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy, calls = shutil.copytree(shared, tmp_path / "plan"), tmp_path / "calls"
    monkeypatch.setenv("STANDIN_COMPILER_CALLS", str(calls))
    done = document(run("build", copy, "--compile", "--compiler", standin_compiler, "--json"))
    folder = load_pool(copy)
    residents = [(d.name, r.model, r.stage) for d in folder.pool.devices for r in d.residents]
    assert [(r["device"], r["model"], r["stage"]) for r in done["residents"]] == residents
    stages = [
        folder.plans[MODELS.index(r.model)].plan.pipelines[r.pipeline].stages[r.stage]
        for d in folder.pool.devices
        for r in d.residents
    ]
    assert calls.read_text().split() == [Path(stage.file).name for stage in stages]
    assert all((plan.root / "compile.json").is_file() for plan in folder.plans)


def test_a_folder_that_is_something_else_is_left_alone(networks: list[Path], shared: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = run("solve", networks[2], "--pool", POOL, "-o", tmp_path)
    error(done, ExitCode.OUTPUT, "models")


def test_an_edit_is_noticed(shared: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(shared, tmp_path / "plan")
    text = (copy / "pool.json").read_text()
    (copy / "pool.json").write_text(text.replace('"weight": 2', '"weight": 4'))
    error(run("check", copy), ExitCode.BAD_PLAN, "altered")
    (copy / "pool.json").write_text(text)
    plan = copy / json.loads(text)["models"][0]["folder"] / "plan.json"
    plan.write_text(plan.read_text().replace("pool", "poll"))
    error(run("run", copy), ExitCode.BAD_PLAN, "altered")


def test_two_pools_are_compared(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "apart"
    run("solve", *networks[:2], "--pool", "edgetpu-m2:2", "--sharing", "never", "-o", other, "--no-verify")
    found = document(run("diff", shared, other, "--json"))
    pools = [load_pool(folder).pool for folder in (shared, other)]
    assert found["period_ns"] == [pool.period_ns for pool in pools]
    last = found["models"][-1]
    assert (last["name"], last["weight"]) == (MODELS[2], [pools[0].models[2].weight, None])
    assert [device["name"] for device in found["devices"]] == ["edgetpu-m2:0", "edgetpu-usb:0", "edgetpu-m2:1"]
    assert found["devices"][1]["residents"][1] is None
    shown = run("diff", shared, other).stdout
    assert "In a period, models do other numbers of inferences" in shown
    assert "not there" in shown
    same = run("diff", shared, shared).stdout
    assert "Every TPU has the same residents." in same
    assert "A period takes" in same
    error(run("diff", shared), ExitCode.USAGE, "another pool's")
    error(run("diff", shared / pools[0].models[0].folder, shared), ExitCode.USAGE, "another pool's")


def test_pools_run_in_turns(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    few = ("--rounds", "2", "--count", "12", "--warm-up", "1", "--json")
    found = document(run("bench", shared, *few))
    (entry,) = found["plans"]
    assert found["unit"] == "periods/s"
    assert entry["predicted_fps"] == pytest.approx(1e9 / load_pool(shared).pool.period_ns)
    assert len(entry["turns"]) == 2
    assert min(entry["turns"]) > 0
    run("solve", *networks[:2], "--pool", POOL, "--time-limit", "3", "-o", tmp_path / "other", "--no-verify")
    error(run("bench", shared, tmp_path / "other", *few), ExitCode.BAD_PLAN, "same models in one proportion")
    error(run("bench", shared, "--mode", "latency", *few), ExitCode.USAGE, "measured by its throughput")


def test_simulated_latencies_at_the_rates_that_were_asked_for(networks: list[Path], tmp_path: Path) -> None:
    rates = ("--rate", "mobilenet=30", "--rate", "squeezenet1.0=10", "--sharing", "co-compiled")
    folder = tmp_path / "plan"
    run("solve", networks[0], networks[2], "--pool", POOL, *rates, "--time-limit", "3", "-o", folder, "--no-verify")
    found = document(run("run", folder, "--backend", "simulated", "--count", "50", "--json"))
    for model, predicted in zip(found["models"], load_pool(folder).pool.models, strict=True):
        assert predicted.own_latency_ns <= model["latency_max_at_rates_ns"] <= predicted.latency_ns
        assert model["throughput_fps"] == pytest.approx(predicted.rate_fps, rel=0.02)
    assert "at the rates asked for" in run("run", folder, "--backend", "simulated").stdout


def test_results_of_several_models_go_to_a_folder(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    done = run("run", shared, "--count", "1", "-o", tmp_path / "all.npz")
    error(done, ExitCode.USAGE, "3 models have results")
    run("solve", networks[2], "--pool", "edgetpu-m2:1", "-o", tmp_path / "one", "--no-verify")
    done = run("run", tmp_path / "one", "--count", "1", "--top", "2", "-o", tmp_path / "one.jsonl")
    assert done.code == ExitCode.OK, done.stderr
    (line,) = (tmp_path / "one.jsonl").read_text().splitlines()
    assert len(json.loads(line)["top"]) == 2


@pytest.mark.parametrize(
    "asked",
    [
        ("--cut-before", "mobilenet=10"),
        ("--max-stages", "mobilenet=1"),
        ("--max-latency", "mobilenet=50ms"),
        ("--pin", "mobilenet=edgetpu-m2"),
        ("--pin", "mobilenet=12=edgetpu-m2"),
        ("--keep-together", "mobilenet=3,4"),
    ],
)
def test_what_is_said_of_a_model_by_its_name_is_understood_on_a_pool_of_one_kind(
    asked: tuple[str, str], networks: list[Path]
) -> None:
    found = document(run("solve", networks[0], "--pool", "edgetpu-m2:2", *asked, "--json"))
    (model,) = found["models"]
    assert model["name"] == "mobilenet" and (model["constraints"] or model["pins"])
