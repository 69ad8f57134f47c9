"""Outputs of real models under plans of 1 to 8 stages and 1 to 3 replicas equal the whole model's, byte for byte.

In every mode of use (`map`, `submit`, dropped frames) and while other processes keep all cores busy.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result
from generators.plan_folders import even_stages, with_replicas, write
from segsolve.graph.read import LoadedModel, read_model
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.result import Result
from segsolve_runtime.pipeline import Pipeline

STAGES, REPLICAS = range(1, 9), (1, 2, 3)
FRAMES = 6
_SHARED = Path(__file__).resolve().parents[2] / "shared"
MODELS = Path(os.environ.get("SEGSOLVE_MODELS", _SHARED / "models"))
Frame = Mapping[str, Array]


def main(models: Sequence[Path] = ()) -> None:
    paths = models or sorted(p for p in MODELS.glob("*.tflite") if not p.stem.endswith("_edgetpu"))
    with busy_machine(os.cpu_count() or 1):
        rows = [row for path in paths for row in compare(read_model(path), STAGES, REPLICAS)]
    write_result("equal", {"frames": FRAMES, "busy_processes": os.cpu_count(), "plans": len(rows), "rows": rows})


def compare(loaded: LoadedModel, stages: Iterable[int], replicas: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each plan; an AssertionError names an output that differs."""
    with TemporaryDirectory() as scratch:
        frames, expected = _expected(loaded, Path(scratch) / "whole")
        for count in stages:
            pipeline = even_stages(loaded, count)
            for each in replicas:
                where = f"{loaded.path.name}, {len(pipeline.stages)} stages of {each} replicas"
                folder = write(loaded, Path(scratch) / "plan", [with_replicas(pipeline, each)])
                with Pipeline.load(folder) as running:
                    compared = _modes(running, frames, expected, where)
                row = {"model": loaded.path.name, "stages": len(pipeline.stages), "replicas": each, **compared}
                print(row, flush=True)
                yield row


def _modes(pipeline: Pipeline, frames: Sequence[Frame], expected: Sequence[Frame], where: str) -> dict[str, int]:
    mapped = list(pipeline.map(frames))
    assert [result.number for result in mapped] == list(range(len(frames))), f"{where}: out of order"
    submitted = [future.result() for future in [pipeline.submit(frame) for frame in frames]]
    fresh = list(pipeline.map(frames, drop="oldest"))
    numbers = [result.number for result in fresh]
    assert numbers == sorted(set(numbers)), f"{where}: out of order while dropping"
    assert numbers[-1] == len(frames) - 1, f"{where}: the latest frame was dropped"
    _same(mapped, expected, f"{where}, map")
    _same(submitted, expected, f"{where}, submit")
    _same(fresh, [expected[number] for number in numbers], f"{where}, drop")
    return {"map": len(mapped), "submit": len(submitted), "drop": len(fresh)}


def _same(actual: Sequence[Result], expected: Sequence[Frame], where: str) -> None:
    for result, outputs in zip(actual, expected, strict=True):
        for name, array in outputs.items():
            got = result[name]
            same = (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
            assert same, f"{where}: {name} of frame {result.number} differs"


def _expected(loaded: LoadedModel, folder: Path) -> tuple[list[Frame], list[Frame]]:
    """Return frames and the outputs of the model's own file, run by LiteRT without any of our writing or threads."""
    from ai_edge_litert.interpreter import Interpreter

    graph = loaded.graph
    plan = write(loaded, folder, [even_stages(loaded, 1)]).plan
    frames: list[Frame] = list(random_frames(plan, FRAMES, seed=0))
    interpreter = Interpreter(model_content=loaded.content, num_threads=1)
    interpreter.allocate_tensors()
    expected: list[Frame] = []
    for frame in frames:
        for tensor in graph.inputs:
            interpreter.set_tensor(tensor, frame[graph.tensors[tensor].name])
        interpreter.invoke()
        expected.append({graph.tensors[t].name: interpreter.get_tensor(t) for t in graph.outputs})
    return frames, expected


@contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """Keep so many processes computing while the context lasts."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_burn, daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _burn() -> None:
    while True:
        sum(i * i for i in range(10_000))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
