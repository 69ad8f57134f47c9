"""What differs between two plans: figures, operations that moved, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.flow.lanes import limited_by

from .tool import document, error, inside


@pytest.fixture(scope="module")
def plans(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    common = ("solve", mobilenet, "--no-verify", "--layout", "pipeline")
    for name, more in (("two", ("--tpus", "2")), ("three", ("--tpus", "3")), ("usb", ("--tpus", "3"))):
        device = ("--device", "edgetpu-usb") if name == "usb" else ()
        assert inside(*common, *more, *device, "-o", folder / name).code == ExitCode.OK
    assert inside("solve", mobilenet, "--tpus", "5", "--no-verify", "-o", folder / "any").code == ExitCode.OK
    return folder


def test_operations_that_moved_are_those_of_the_plans(plans: Path) -> None:
    found = document(inside("diff", plans / "two", plans / "three", "--json").stdout)
    owners = [
        {
            op: k
            for k, s in enumerate(load_plan(plans / name).plan.all_stages)
            for op in range(s.first_op, s.last_op + 1)
        }
        for name in ("two", "three")
    ]
    moved = {op: (m["before"], m["after"]) for m in found["moved"] for op in range(m["first_op"], m["last_op"] + 1)}
    assert moved == {op: (a, owners[1][op]) for op, a in owners[0].items() if a != owners[1][op]}
    assert found["same_model"] and (found["before"]["tpus_used"], found["after"]["tpus_used"]) == (2, 3)
    bottleneck = sum(part["after_ns"] for part in found["bottleneck"])
    assert bottleneck == max(s.prediction.time_ns for s in load_plan(plans / "three").plan.all_stages)


def test_people_are_told_what_changed_and_why(plans: Path) -> None:
    text = inside("diff", plans / "three", plans / "usb").stdout
    assert "Device: edgetpu-m2 (three), edgetpu-usb (usb)." in text
    assert "What limits three: the host" in text and "The slowest stage of usb against that of three:" in text
    text = inside("diff", plans / "two", plans / "any").stdout
    assert "Asked for: throughput on 2 TPUs" in " ".join(text.split()) and "Layout:" in text


def test_what_limits_is_the_host_where_it_has_too_little(plans: Path) -> None:
    limited = {name: limited_by(load_plan(plans / name).plan) for name in ("two", "any")}
    assert limited == {"two": (), "any": ("host",)}
    text = " ".join(inside("diff", plans / "two", plans / "any").stdout.split())
    assert "What limits any: the host that all TPUs share; its slowest stage: operations" in text
    assert "What limits two: operations" in text
    found = document(inside("diff", plans / "two", plans / "any", "--json").stdout)
    assert (found["before"]["limited_by"], found["after"]["limited_by"]) == ([], ["host"])


def test_a_plan_and_itself(plans: Path) -> None:
    text = inside("diff", plans / "two", plans / "two").stdout
    assert "The cuts are the same." in text and "%" not in text
    assert document(inside("diff", plans / "two", plans / "two", "--json").stdout)["moved"] == []


def test_folders_that_are_no_plans(plans: Path, tmp_path: Path) -> None:
    error(inside("diff", plans / "two", tmp_path), ExitCode.BAD_PLAN)
    shutil.copytree(plans / "two", tmp_path / "altered")
    file = tmp_path / "altered" / "plan.json"
    file.write_text(file.read_text().replace("edgetpu-m2", "edgetpu-xx"))
    error(inside("diff", tmp_path / "altered", plans / "two"), ExitCode.BAD_PLAN, "altered")
