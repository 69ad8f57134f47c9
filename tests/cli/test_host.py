"""What one host can feed, and what is not known of large images: said, kept to, and remembered by a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segsolve.errors import ExitCode

from ..models import Net
from .tool import document, error, inside


@pytest.fixture
def tail(tmp_path: Path) -> Path:
    """One convolution, and then layers in floating point, which no Edge TPU takes."""
    net = Net()
    x = net.dequantize(net.conv(net.input((1, 64, 64, 8)), 8))
    for _ in range(8):
        x = net.relu(x)
    return net.write(tmp_path, x)


def test_copies_share_the_cores_of_the_host(tail: Path) -> None:
    """What falls back bounds all copies together, as many cores as there are."""
    found = [document(inside("solve", tail, "--tpus=8", f"--host-cores={n}", "--json").stdout) for n in (1, 2, 4)]
    rates = [each["throughput_fps"] for each in found]
    assert rates[1] / rates[0] == pytest.approx(2, rel=0.2) and rates[2] > rates[1]
    assert found[0]["limited_by"] == ["host"] and found[0]["status"] == "optimal"
    assert found[0]["tpus_used"] <= 2
    one = document(inside("solve", tail, "--tpus=1", "--host-cores=1", "--json").stdout)
    assert rates[0] <= 1.5 * one["throughput_fps"]


def test_it_is_said_that_the_host_limits(tail: Path) -> None:
    done = inside("solve", tail, "--tpus=8", "--host-cores=1")
    text = " ".join(done.stdout.split())
    assert "The host that feeds all TPUs limits the rate" in text
    assert "of the host's 1 core at this rate (predicted; --host-cores)" in text
    beside = " ".join(inside("compare", tail, "--tpus=8", "--host-cores=1").stdout.split())
    assert "8.00x" not in beside and "4.00x" not in beside


def test_a_comparison_says_which_rows_the_host_limits(tail: Path) -> None:
    asked = ("compare", tail, "--tpus=8", "--host-cores=1")
    (limited,) = (line for line in inside(*asked).stdout.splitlines() if line.split()[:1] == ["8x1"])
    assert "host" in limited.split()
    found = document(inside(*asked, "--json").stdout)
    by_layout = {each["layout"]: each["limited_by"] for each in found["layouts"]}
    assert by_layout["8x1"] == ["host"] and {tuple(s["limited_by"]) for s in found["strategies"]} == {()}
    assert "host" not in inside("compare", tail, "--tpus=1", "--host-cores=8").stdout


def test_a_plan_remembers_the_cores(tail: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    assert inside("solve", tail, "--tpus=4", "--host-cores=3", "-o", plan, "--no-verify").code == ExitCode.OK
    host = json.loads((plan / "plan.json").read_text())["device"]["host"]
    assert host["cores"] == 3 and host["work_ns"] > 0
    assert inside("check", plan).code == ExitCode.OK
    page = tmp_path / "page.html"
    assert inside("report", plan, "--model", tail, "-o", page).code == ExitCode.OK
    assert "the host that feeds them drives" in page.read_text()


def test_cores_that_make_no_sense(tail: Path, tmp_path: Path) -> None:
    error(inside("solve", tail, "--tpus=2", "--host-cores=0"), ExitCode.USAGE, "--host-cores")
    profile = tmp_path / "p.json"
    profile.write_text(
        '{"format": "segsolve-profile", "version": 1, "layers": [{"name": "a", "time_ns": 5, "param_bytes": 1}]}'
    )
    error(inside("solve", profile, "--tpus=2", "--host-cores=2"), ExitCode.BAD_DEVICE, "says nothing of a host")
    error(inside("solve", profile, "--tpus=2", "--optimistic"), ExitCode.BAD_DEVICE, "was measured")
    error(inside("solve", profile, "--tpus=2", "--cpus=1", "--host-cores=2"), ExitCode.USAGE, "a graph has its costs")


def test_a_profile_may_have_a_host(tmp_path: Path) -> None:
    profile = tmp_path / "p.json"
    layers = [{"name": name, "time_ns": 1000, "param_bytes": 1} for name in "ab"]
    device = {"host": {"cores": 2, "serial_ns": 400, "work_ns": 600}}
    profile.write_text(json.dumps({"format": "segsolve-profile", "version": 1, "layers": layers, "device": device}))
    found = document(inside("solve", profile, "--tpus=8", "--json").stdout)
    assert found["objective_ns"] == 500 and found["host_load"] >= 1  # (400 + 600) / 2
    more = document(inside("solve", profile, "--tpus=8", "--host-cores=8", "--json").stdout)
    assert more["objective_ns"] == 400


def test_large_images_are_planned_at_the_safe_end(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input((1, 800, 800, 3)), 4)
    model = net.write(tmp_path, net.conv(x, 4))
    done = inside("solve", model, "--tpus=2")
    assert "no rule is known for images this large" in done.stderr and "--optimistic" in done.stderr
    plan = tmp_path / "plan"
    other = inside("solve", model, "--tpus=2", "--optimistic", "-o", plan, "--no-verify")
    assert "is counted on" in other.stderr
    assert json.loads((plan / "plan.json").read_text())["device"]["optimistic"] is True
    safe, most = (
        document(inside("solve", model, "--tpus=2", "--json", *more).stdout)["stages"][0]["capacity_bytes"]
        for more in ((), ("--optimistic",))
    )
    assert safe < most
