"""Real segments on LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from generators.runtime_plans import Sketch, make_plan, write_folder
from segsolve_runtime import PlanError, load_plan, random_frames
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.pipeline import Pipeline

from . import tiny_model

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("plan"), tiny_model.plan(), tiny_model.sketches())


def run_by_hand(content: bytes, tensors: Mapping[str, Array]) -> dict[str, Array]:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], tensors[detail["name"]])
    interpreter.invoke()
    return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}


def run_serially(contents: Sequence[bytes], frame: Mapping[str, Array]) -> dict[str, Array]:
    tensors = dict(frame)
    for content in contents:
        tensors |= run_by_hand(content, tensors)
    return tensors


@pytest.mark.parametrize(("threads", "queue_size"), [(1, 1), (1, 2), (2, 4)])
def test_the_pipeline_gives_what_segments_run_one_after_the_other_and_the_whole_model_give(
    folder: Path, threads: int, queue_size: int
) -> None:
    frames = list(random_frames(tiny_model.plan(), COUNT, seed=7))
    with Pipeline.load(folder, threads=threads, queue_size=queue_size) as pipeline:
        results = list(pipeline.map(frames))
    contents = [sketch.content for sketch in tiny_model.sketches()]
    for frame, outputs in zip(frames, results, strict=True):
        assert list(outputs) == tiny_model.OUTPUTS
        by_segments = run_serially(contents, frame)
        by_model = run_by_hand(tiny_model.whole_model(), frame)
        for name, array in outputs.items():
            np.testing.assert_array_equal(array, by_segments[name], strict=True)
            np.testing.assert_array_equal(array, by_model[name], strict=True)
    assert len({outputs["f"].tobytes() for outputs in results}) == COUNT


def test_results_stay_as_they_are_while_later_frames_run(folder: Path) -> None:
    frames = list(random_frames(tiny_model.plan(), COUNT, seed=3))
    with Pipeline.load(str(folder)) as pipeline:
        kept = [(outputs, {n: a.copy() for n, a in outputs.items()}) for outputs in pipeline.map(frames)]
    assert all(np.array_equal(outputs[n], copy[n]) for outputs, copy in kept for n in copy)


def test_the_timeline_on_the_wall_clock_is_a_pipeline(folder: Path) -> None:
    with Pipeline.load(folder, record=True) as pipeline:
        list(pipeline.map(random_frames(pipeline.plan, COUNT, seed=3)))
        metrics = pipeline.metrics()
    assert [(s.inference, s.stage) for s in metrics.timeline] == [(n, k) for n in range(COUNT) for k in range(3)]
    slots = {(s.inference, s.stage): s for s in metrics.timeline}
    for (n, k), slot in slots.items():
        assert 0 <= slot.start_ns <= slot.end_ns
        assert k == 0 or slots[n, k - 1].end_ns <= slot.start_ns
        assert n == 0 or slots[n - 1, k].end_ns <= slot.start_ns
    last_end_ns = slots[COUNT - 1, 2].end_ns
    for stage in metrics.stages:
        assert min(stage.busy_ns, stage.blocked_ns, stage.starved_ns) >= 0
        assert stage.busy_ns + stage.blocked_ns + stage.starved_ns <= last_end_ns
    assert 0 < metrics.latency_p50_ns <= metrics.latency_p95_ns <= metrics.elapsed_ns <= last_end_ns


def plan_with(tensors: Mapping[str, tuple[str, list[int]]], takes: Sequence[str], makes: Sequence[str]) -> Plan:
    return make_plan([sketch(takes, makes)], inputs=takes, outputs=makes, tensors=tensors)


def sketch(takes: Sequence[str], makes: Sequence[str]) -> Sketch:
    return Sketch(takes=takes, makes=makes, content=tiny_model.sketches()[1].content)


@pytest.mark.parametrize(
    ("takes", "makes", "types", "message"),
    [
        (["b", "x"], ["d"], {}, r"takes \['b'\], but the plan says \['b', 'x'\]"),
        (["b"], ["x"], {}, r"makes \['d'\], but the plan says \['x'\]"),
        (["b"], ["d"], {"b": ("uint8", [1, 4, 4, 8])}, r"takes 'b' as int8 of .*, not uint8 of"),
        (["b"], ["d"], {"d": ("int8", [1, 4, 8])}, r"makes 'd' as int8 of shape \(1, 4, 4, 8\), not .* \(1, 4, 8\)"),
        (["b"], ["d"], {"d": ("quint8", [1])}, "tensor 'd' has the unknown element type 'quint8'"),
        (["b"], ["d"], {"d": ("int8", [-1])}, "tensor 'd' has the shape .* which is not fixed"),
    ],
)
def test_a_segment_that_is_not_what_the_plan_says_is_refused(
    tmp_path: Path,
    takes: list[str],
    makes: list[str],
    types: Mapping[str, tuple[str, list[int]]],
    message: str,
) -> None:
    tensors = dict.fromkeys((*takes, *makes), ("int8", tiny_model.SHAPE)) | dict(types)
    folder = write_folder(tmp_path, plan_with(tensors, takes, makes), [sketch(takes, makes)])
    with pytest.raises(PlanError, match=message):
        Pipeline.load(folder)


@pytest.mark.parametrize("content", [b"not a model", tiny_model.sketches()[1].content[:300]])
def test_a_file_that_litert_cannot_load_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    broken = Sketch(takes=["b"], makes=["d"], content=content)
    folder = write_folder(tmp_path, make_plan([broken], inputs=["b"], outputs=["d"]), [broken])
    with pytest.raises(PlanError, match=r"LiteRT cannot load the plan's segment .*0\.tflite"):
        open_stages("litert", load_plan(folder))
