"""Plans on the edgetpu backend, with a stand-in for libedgetpu that the real LiteRT loads as a delegate."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsolve_runtime.backends.edgetpu.library import LIBRARY_VARIABLE
from segsolve_runtime.backends.edgetpu.pycoral import find_pycoral
from segsolve_runtime.contract.arrays import Array, Frame
from segsolve_runtime.contract.compiled import CompiledSegment, CompileRecord, compiled_name
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import PLAN_FILE, file_sha256, load_plan
from segsolve_runtime.errors import BackendError, HardwareError, PlanError, RuntimeFault, StageError
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.pipeline import Pipeline

from ..runtime import tiny_model
from ..standins.compiled import compiled
from ..standins.edgetpu import StandIn, in_use_by_another

PATHS = {"usb:0": "/sys/bus/usb/devices/1-2", "pci:0": "/dev/apex_0", "usb:1": "/sys/bus/usb/devices/2-1"}


def outputs(folder: Path, backend: str, **options: object) -> list[dict[str, Array]]:
    with Pipeline.load(folder, backend=backend, **options) as pipeline:  # type: ignore[arg-type]
        return list(pipeline.map(random_frames(pipeline.plan, 20, seed=0)))


def same(found: Sequence[dict[str, Array]], expected: Sequence[dict[str, Array]]) -> bool:
    return len(found) == len(expected) > 0 and all(
        list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in b)
        for a, b in zip(found, expected, strict=True)
    )


def fails(folder: Path, **options: object) -> RuntimeFault:
    with pytest.raises(RuntimeFault) as caught:
        outputs(folder, "edgetpu", **options)
    return caught.value


@pytest.mark.parametrize("devices", [(), ("pci:0", "usb:1", "usb:0")])
def test_results_are_those_of_the_segments(devices: tuple[str, ...], plan_folder: Path, standin: StandIn) -> None:
    expected = outputs(plan_folder, "litert")
    assert same(outputs(plan_folder, "edgetpu", devices=devices), expected)
    order = [PATHS[name] for name in devices or ("usb:0", "pci:0", "usb:1")]
    assert standin.used[0] == order[0]
    assert {path: standin.used.count(path) for path in order} == dict.fromkeys(order, 20)
    assert all(not standin.is_open(path) for path in order)  # all were given back


def test_each_stage_keeps_its_device_when_the_order_changes(plan_folder: Path, standin: StandIn) -> None:
    """Over USB a device that was opened comes later in the library's order: usb:1 is then another one."""
    standin.set("STANDIN_EDGETPU_REORDER", "1")
    standin.attach(*(f"usb=/sys/bus/usb/devices/{place}" for place in ("1-1", "1-2", "1-3")))
    assert same(outputs(plan_folder, "edgetpu"), outputs(plan_folder, "litert"))
    assert {standin.used.count(f"/sys/bus/usb/devices/{place}") for place in ("1-1", "1-2", "1-3")} == {20}


def _changed(folder: Path, pipelines: int = 1, **fields: Any) -> None:
    """Change the middle stage of a plan, and have the pipeline several times."""
    plan = load_plan(folder).plan
    (pipeline,) = plan.pipelines
    stages = [s.model_copy(update=fields) if k == 1 else s for k, s in enumerate(pipeline.stages)]
    changed = [pipeline.model_copy(update={"stages": stages})] * pipelines
    (folder / PLAN_FILE).write_text(digested_json(plan.model_copy(update={"pipelines": changed})))


@pytest.mark.parametrize(("pipelines", "replicas"), [(1, 2), (1, 3), (2, 1), (3, 2)])
def test_replicas_and_several_pipelines_have_a_device_each(
    pipelines: int, replicas: int, plan_folder: Path, standin: StandIn
) -> None:
    _changed(plan_folder, pipelines, replicas=replicas)
    expected = outputs(plan_folder, "litert")
    devices = [f"/sys/bus/usb/devices/{k}-1" for k in range(pipelines * (2 + replicas))]
    standin.attach(*(f"usb={path}" for path in devices[:-1]))
    assert f"the plan needs {len(devices)} Edge TPUs" in str(fails(plan_folder))
    standin.attach(*(f"usb={path}" for path in devices))
    with Pipeline.load(plan_folder, backend="edgetpu") as pipeline:
        pipeline.warm_up()  # so few frames need not come to all of them
        assert same(list(pipeline.map(random_frames(pipeline.plan, 20, seed=0))), expected)
    assert set(standin.used) == set(devices)


def _unplugging(standin: StandIn, frames: Iterable[Frame], after: int, *left: str) -> Iterator[Frame]:
    for number, frame in enumerate(frames):
        if number == after:
            standin.attach(*left)
        yield frame


def test_a_device_that_is_unplugged_is_lost(plan_folder: Path, standin: StandIn) -> None:
    with Pipeline.load(plan_folder, backend="edgetpu") as pipeline:
        frames = random_frames(pipeline.plan, 50, seed=0)
        left = (f"usb={PATHS['usb:0']}", f"usb={PATHS['usb:1']}")
        with pytest.raises(StageError, match=r"stage 1 failed .* the Edge TPU pci:0 \(/dev/apex_0\) is gone"):
            list(pipeline.map(_unplugging(standin, frames, 10, *left)))


def test_another_replica_goes_on_for_a_device_that_is_unplugged(plan_folder: Path, standin: StandIn) -> None:
    _changed(plan_folder, replicas=2)
    expected = outputs(plan_folder, "litert")
    devices = [f"/sys/bus/usb/devices/{k}-1" for k in range(4)]
    standin.attach(*(f"usb={path}" for path in devices))
    left = [f"usb={path}" for path in devices if path != devices[2]]
    with Pipeline.load(plan_folder, backend="edgetpu", faults=FaultPolicy(on_fault="retry")) as pipeline:
        frames = random_frames(pipeline.plan, 20, seed=0)
        assert same(list(pipeline.map(_unplugging(standin, frames, 8, *left))), expected)
        assert list(pipeline.lost) == [Place(0, 1, 1)]


def test_stages_on_the_cpu_need_no_device(plan_folder: Path, standin: StandIn) -> None:
    _changed(plan_folder, processor="cpu")
    (plan_folder / compiled_name("segments/1.tflite")).unlink()
    assert same(outputs(plan_folder, "edgetpu", devices=("pci:0", "usb:0")), outputs(plan_folder, "litert"))
    assert set(standin.used) == {PATHS["pci:0"], PATHS["usb:0"]}


def test_segments_that_are_not_compiled(plan_folder: Path, standin: StandIn) -> None:
    (plan_folder / "segments/1_edgetpu.tflite").unlink()
    error = fails(plan_folder)
    assert isinstance(error, PlanError)
    assert "segments/1.tflite is not compiled and would run on the CPU" in str(error)
    shutil.copy(plan_folder / "segments/1.tflite", plan_folder / "segments/1_edgetpu.tflite")
    assert "none of its operations is for an Edge TPU" in str(fails(plan_folder))


def _record(folder: Path, **changes: str) -> None:
    file, name = "segments/1.tflite", "segments/1_edgetpu.tflite"
    known = {"segment": file, "segment_sha256": file_sha256(folder / file), "sha256": file_sha256(folder / name)}
    facts = {"onchip_bytes": 1, "onchip_free_bytes": 1, "offchip_bytes": 0, "subgraphs": 1, "operations": []}
    segment = CompiledSegment.model_validate({**known, "file": name, **facts, **changes})
    (folder / "compile.json").write_text(digested_json(CompileRecord(compiler="16.0", segments=[segment])))


def test_what_was_recorded_when_it_was_compiled(plan_folder: Path, standin: StandIn) -> None:
    _record(plan_folder)
    assert same(outputs(plan_folder, "edgetpu"), outputs(plan_folder, "litert"))
    _record(plan_folder, segment_sha256="0" * 64)
    assert "was compiled from another segment" in str(fails(plan_folder))
    _record(plan_folder, sha256="0" * 64)
    assert "was altered after it was compiled" in str(fails(plan_folder))
    (plan_folder / "compile.json").write_text("{}")
    assert "compile.json is not valid" in str(fails(plan_folder))


def test_a_compiled_segment_of_another_stage(plan_folder: Path, standin: StandIn) -> None:
    (plan_folder / "segments/1_edgetpu.tflite").write_bytes(compiled(tiny_model.sketches()[0].content))
    error = fails(plan_folder)
    assert isinstance(error, PlanError) and "takes ['image'], but the plan says ['b']" in str(error)
    del error  # its frames hold the interpreter
    gc.collect()
    assert all(not standin.is_open(path) for path in PATHS.values())


def test_no_library(plan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, "libnone.so.1")
    error = fails(plan_folder)
    assert isinstance(error, HardwareError)
    assert str(error) == "libnone.so.1, which drives Edge TPUs, is not installed"


def test_too_few_devices(plan_folder: Path, standin: StandIn) -> None:
    standin.attach("pci=/dev/apex_0")
    assert str(fails(plan_folder)) == ("the plan needs 3 Edge TPUs, but pci:0 is attached; solve again with --tpus 1")


def test_a_device_in_use(plan_folder: Path, standin: StandIn, tmp_path: Path) -> None:
    standin.set("STANDIN_EDGETPU_LOCKS", str(tmp_path))
    with in_use_by_another([PATHS["pci:0"]], tmp_path):
        error = fails(plan_folder)
    assert isinstance(error, HardwareError)
    assert str(error) == "the Edge TPU pci:0 (/dev/apex_0) cannot be opened; another process may use it"
    assert all(not standin.is_open(path) for path in PATHS.values())
    assert same(outputs(plan_folder, "edgetpu"), outputs(plan_folder, "litert"))


def test_a_device_in_use_by_this_process(plan_folder: Path, standin: StandIn) -> None:
    with Pipeline.load(plan_folder, backend="edgetpu"):
        assert str(fails(plan_folder)) == (
            "the Edge TPU usb:0 (/sys/bus/usb/devices/1-2) already runs another stage in this process"
        )
        assert standin.is_open(PATHS["usb:0"])


def test_a_segment_for_a_newer_library(plan_folder: Path, standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_VERSION", "BuildLabel(N/A), RuntimeVersion(13)")
    assert "_edgetpu.tflite was compiled for runtime version 14, but" in str(fails(plan_folder))
    assert str(fails(plan_folder)).endswith("has 13: update libedgetpu, or compile again with --min-runtime-version 13")


OLD = "BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted,TIME=redacted), RuntimeVersion(14)"


def test_a_library_that_crashes_is_tried_in_another_process(plan_folder: Path, standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_VERSION", OLD)
    standin.set("STANDIN_EDGETPU_CRASH", "1")
    error = fails(plan_folder)
    assert isinstance(error, HardwareError)
    assert "crashes with LiteRT" in str(error) and "was built for TensorFlow Lite 2.5" in str(error)


def test_an_old_library_that_works(plan_folder: Path, standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_VERSION", OLD)
    assert same(outputs(plan_folder, "edgetpu"), outputs(plan_folder, "litert"))


def test_a_damaged_segment(plan_folder: Path, standin: StandIn) -> None:
    content = bytearray((plan_folder / "segments/0_edgetpu.tflite").read_bytes())
    at = content.index(b"STANDIN")
    content[at : at + 7] = b"DAMAGED"
    (plan_folder / "segments/0_edgetpu.tflite").write_bytes(content)
    assert "cannot run" in str(fails(plan_folder)) and "Failed to prepare a custom op" in str(fails(plan_folder))


def test_devices_are_for_this_backend_only(plan_folder: Path) -> None:
    with pytest.raises(BackendError, match="'litert' has no devices to choose"):
        Pipeline.load(plan_folder, backend="litert", devices=("usb:0",))


STANDIN_PYCORAL = '''
"""A stand-in for Google's pycoral.utils.edgetpu: its documented make_interpreter."""
import os
from ai_edge_litert.interpreter import Interpreter, load_delegate

opened = []


def make_interpreter(model_path_or_content, device=None, delegate=None):
    opened.append(device)
    delegate = load_delegate(os.environ["SEGSOLVE_LIBEDGETPU"], {"device": device} if device else {})
    return Interpreter(model_path=model_path_or_content, experimental_delegates=[delegate])
'''


def _install(folder: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in files.items():
        (folder / "pycoral" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pycoral" / name).write_text(content)
    monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycoral"]:
        monkeypatch.delitem(sys.modules, name)


def test_googles_pycoral_opens_the_devices(
    plan_folder: Path, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"__init__.py": "", "utils/__init__.py": "", "utils/edgetpu.py": STANDIN_PYCORAL}
    _install(tmp_path, {**files, "pybind/_pywrap_coral.cpython-39-x86_64-linux-gnu.so": "x" * 5000}, monkeypatch)
    assert find_pycoral().state == "google"
    assert same(outputs(plan_folder, "edgetpu", isolate="none"), outputs(plan_folder, "litert"))
    assert sys.modules["pycoral.utils.edgetpu"].opened == ["usb:0", "pci:0", "usb:1"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycoral"]:
        del sys.modules[name]  # for good: with it, the test of a library that crashes would end this process


def test_another_pycoral_is_not_imported(
    plan_folder: Path, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, {"__init__.py": "raise SystemExit('the impostor was imported')"}, monkeypatch)
    assert find_pycoral().state == "impostor"
    assert same(outputs(plan_folder, "edgetpu"), outputs(plan_folder, "litert"))


def test_a_pycoral_without_its_compiled_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"__init__.py": "", "utils/edgetpu.py": STANDIN_PYCORAL, "pybind/_pywrap_coral.so": "x"}
    _install(tmp_path, files, monkeypatch)
    assert find_pycoral().state == "incomplete"
