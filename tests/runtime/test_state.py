"""A model that keeps state: its results over a sequence are the plain interpreter's, each time it begins anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from generators.documents import device_toml
from segsolve.graph.read import LoadedModel
from segsolve.segments.verify import verify
from segsolve_runtime import FaultPolicy, Pipeline
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.errors import PlanError
from tests.cli.tool import inside
from tests.models import Array, Net
from tests.segments.plans import cut


def counting(tmp_path: Path) -> LoadedModel:
    """A network that adds each image to what it has seen before."""
    net = Net()
    image = net.conv(net.input())
    state = net.tensor("seen", (1, 4, 4, 8), isVariable=True)
    total = net.add(image, state)
    net.operator("RELU", [total], [state])
    return net.load(tmp_path, net.relu(total))


def plainly(loaded: LoadedModel, frames: list[dict[str, Array]]) -> list[Array]:
    interpreter = Interpreter(model_content=loaded.content)
    interpreter.allocate_tensors()
    results = []
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame["input_0"])
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return results


@pytest.mark.parametrize("cuts", [(), (1,), (1, 3)])
def test_every_map_begins_with_the_first_state(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    loaded = counting(tmp_path)
    folder = cut(loaded, tmp_path / "plan", cuts)
    assert folder.plan.model.state == "the variable 'seen'"
    frames = list(random_frames(folder.plan, 12, 0))
    expected = plainly(loaded, frames)
    assert not np.array_equal(expected[0], plainly(loaded, frames[1:])[0])
    assert len({result.tobytes() for result in expected}) > 6
    with Pipeline.load(folder) as pipeline:
        pipeline.warm_up()
        for _ in range(2):
            found = [next(iter(outputs.values())) for outputs in pipeline.map(frames)]
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        futures = [pipeline.submit(frame) for frame in frames]
        assert np.array_equal(next(iter(futures[0].result().values())), expected[0])


def test_it_is_verified_over_a_sequence(tmp_path: Path) -> None:
    loaded = counting(tmp_path)
    assert verify(cut(loaded, tmp_path / "plan", (1,)), loaded).inputs > 2


def test_it_is_not_copied_unless_asked(tmp_path: Path) -> None:
    loaded = counting(tmp_path)
    done = inside("solve", loaded.path, "--tpus", "2", "--json", "-o", tmp_path / "plan")
    assert done.code == 0, done.stderr
    assert "keeps the variable 'seen' from one inference to the next" in done.stderr
    plan = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert len(plan["pipelines"]) == 1
    assert {stage["replicas"] for stage in plan["pipelines"][0]["stages"]} == {1}
    roomy = tmp_path / "roomy.toml"  # where the host of so small a model would limit copies
    roomy.write_text(device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8")
    here = ("solve", loaded.path, "--tpus", "2", "--device", roomy)
    done = inside(*here, "--layout", "any", "-o", tmp_path / "any", "--no-verify")
    assert done.code == 0, done.stderr
    copied = json.loads((tmp_path / "any" / "plan.json").read_text())
    assert sum(stage["replicas"] for p in copied["pipelines"] for stage in p["stages"]) == 2


def test_a_fault_ends_what_cannot_go_on(tmp_path: Path) -> None:
    folder = cut(counting(tmp_path), tmp_path / "plan", (1,))
    for on_fault in ("skip", "retry", "give-back"):
        with pytest.raises(PlanError, match="on_fault must be stop"):
            Pipeline.load(folder, faults=FaultPolicy(on_fault=on_fault))
    done = inside("run", tmp_path / "plan", "--count", "2", "--on-fault", "retry")
    assert done.code != 0 and "the variable 'seen'" in done.stderr


def test_no_copies_are_compared(tmp_path: Path) -> None:
    counting(tmp_path)
    (model,) = tmp_path.glob("*.tflite")
    rows = json.loads(inside("compare", model, "--tpus", "4", "--json").stdout)
    assert [layout["layout"] for layout in rows["layouts"]] and not any(
        "x" in layout["layout"] or "[" in layout["layout"] for layout in rows["layouts"]
    )
