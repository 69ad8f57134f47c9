"""The time to the first result: the published law, by hand and in the documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segsolve import solve
from segsolve.device.model import load_device
from segsolve.plan.folder import write_plan
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.contract.start import StageStart, Start, first_result

from ..models import residual_net

MIB = 2**20
START = Start(open_ns=1_000, load_ns=10, load_ns_per_mib=3 * MIB, at_once=2)


def stage(time_ns: int, onchip_bytes: int, tpus: int = 1) -> StageStart:
    return StageStart(time_ns=time_ns, onchip_bytes=onchip_bytes, tpus=tpus)


def test_by_hand() -> None:
    found = START.first_result([[stage(100, 7, tpus=2), stage(200, 4)], [stage(260, 5)]])
    assert found.open_ns == 2_000  # four devices, two at a time
    assert found.load_ns == 260 + 10 + 15
    assert found.latency_ns == 260
    assert found.swap_ns == 10 + 21
    assert found.total_ns == 2_000 + 285 + 260


def test_a_stage_on_the_cpu_opens_and_loads_nothing() -> None:
    found = START.first_result([[stage(100, 7), stage(500, 9, tpus=0)]])
    assert (found.open_ns, found.load_ns, found.swap_ns) == (1_000, 500, 10 + 21)


def test_the_published_first_inference() -> None:
    """Over USB on a Raspberry Pi 4: 0.44 ms and 3.25 ms per MiB that is cached."""
    start = load_device("edgetpu-usb-pi4").start
    assert start is not None
    for mib in (0.82, 2.79, 5.94, 7.65):
        published = 0.44 + 3.25 * mib
        assert abs(start.swap_ns(round(mib * MIB)) / 1e6 / published - 1) < 0.02


def test_an_answer_and_its_plan_say_the_same(tmp_path: Path) -> None:
    residual_net().write(tmp_path, name="net")
    answer = solve(tmp_path / "net.tflite", tpus=2, device="edgetpu-usb")
    assert answer.model is not None
    write_plan(
        tmp_path / "plan", loaded=answer.model, device=answer.device, problem=answer.problem, answer=answer.found
    )
    plan = load_plan(tmp_path / "plan").plan
    found = first_result(plan)
    assert found is not None and found.open_ns == 2_700_000_000
    assert answer.to_dict()["first_result"]["total_ns"] == found.total_ns
    bare = plan.model_copy(update={"device": plan.device.model_copy(update={"start": None})})
    assert first_result(bare) is None
    unknown = replace(answer, device=replace(load_device("edgetpu-usb"), start=None))
    assert unknown.to_dict()["first_result"] is None
