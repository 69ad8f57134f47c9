"""Devices whose processes are killed, end themselves, hang or vanish for a while, a thousand times: nothing is lost.

Two pipelines on six Edge TPUs of the stand-in for libedgetpu, a process each, run with ``retry`` and ``rejoin``. Every
result must come once, in order, and equal what the segments make on the CPU. Trouble that meets a device while it has
some already is counted as made, but loses nothing more.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import standins
from benchmarks.common import write_result, zoo_file
from benchmarks.memory import growth_mib, resident_mib
from generators.plan_folders import even_stages, write
from segsolve.compiler.build import CompiledStages, tpu_files, write_compiled
from segsolve.compiler.run import find_compiler
from segsolve.graph.read import read_model
from segsolve_runtime import FaultPolicy, Pipeline, PlanFolder
from segsolve_runtime.backends.isolated.runner import IsolatedRunner
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import Place

MODEL = "synthetic-dense-8"
INFERENCES, LOSSES = 100_000, 1_000
KINDS = ("kill", "abort", "hang", "vanish")
TIMEOUT_S, AWAY_S, FRAMES, SAMPLES = 2.0, 0.2, 16, 100
Frame = dict[str, Array]


def main(inferences: int = INFERENCES, losses: int = LOSSES) -> None:
    write_result("lost_devices", {"model": MODEL, "seed": 0, **lose(inferences, losses)})


def lose(inferences: int, losses: int, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """Run it, and return what happened; an AssertionError is what must not happen."""
    paths = [f"/sys/bus/usb/devices/1-{k}" for k in range(1, 7)]
    with TemporaryDirectory() as scratch, zoo_file(MODEL) as path:
        folder = _compiled(path, Path(scratch))
        frames = list(random_frames(folder.plan, FRAMES, seed=0))
        with Pipeline.load(folder) as pipeline:
            expected = [_bytes(result) for result in pipeline.map(frames)]
        with standins.attached(Path(scratch) / "standin", [f"usb={path}" for path in paths]):
            policy = FaultPolicy(on_fault="retry", attempts=50, stage_timeout_s=TIMEOUT_S, rejoin_s=60)
            with Pipeline.load(folder, backend="edgetpu", faults=policy) as pipeline:
                trouble = _Trouble(pipeline, Path(scratch) / "standin", inferences, losses, kinds)
                return _run(pipeline, trouble, frames, expected, inferences)


def _run(
    pipeline: Pipeline, trouble: _Trouble, frames: Sequence[Frame], expected: Sequence[bytes], inferences: int
) -> dict[str, Any]:
    begin = last = time.perf_counter()
    memory, count, longest_s = [resident_mib()], 0, 0.0
    for result in pipeline.map(trouble.among(frames[i % FRAMES] for i in range(inferences)), copy=False):
        now = time.perf_counter()
        longest_s, last = max(longest_s, now - last), now
        assert result.number == count, "a result is missing, comes twice or out of order"
        assert _bytes(result) == expected[count % FRAMES], "a result differs"
        count += 1
        if count % max(1, inferences // SAMPLES) == 0:
            memory.append(resident_mib())
    metrics = pipeline.metrics()
    assert count == metrics.count == metrics.accepted == inferences, "inferences were lost"
    lost = metrics.fault_counts["device lost"] + metrics.fault_counts["hung"]
    return {
        "inferences": inferences,
        "losses": dict(trouble.made),
        "faults": metrics.fault_counts,
        "lost_devices": lost,
        "seconds": round(time.perf_counter() - begin, 1),
        "longest_gap_s": round(longest_s, 2),
        "memory_growth_mib": round(growth_mib(memory), 2),
    }


class _Trouble:
    """Lets something go wrong at drawn frames, at a drawn place that is in use."""

    def __init__(self, pipeline: Pipeline, folder: Path, inferences: int, losses: int, kinds: Sequence[str]) -> None:
        self._pipeline, self._folder, self._kinds = pipeline, folder, kinds
        self._random = random.Random(0)
        self._at = {*self._random.sample(range(inferences), losses)}
        self.made: Counter[str] = Counter()

    def among(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames."""
        for number, frame in enumerate(frames):
            if number in self._at:
                self._make()
            yield frame

    def _make(self) -> None:
        kind = self._random.choice(self._kinds)
        while not (free := [place for place in self._pipeline.devices if self._is_well(place)]):
            time.sleep(0.01)
        place = self._random.choice(free)
        self.made[kind] += 1
        runner = self._pipeline._setting.runners[place]
        assert isinstance(runner, IsolatedRunner)
        if kind == "kill":
            if runner.pid is not None:
                os.kill(runner.pid, signal.SIGKILL)
            return
        path = Path(self._pipeline.devices[place])
        (self._folder / f"{path.name}.fault").write_text(f"{kind} 1")
        if kind == "vanish":
            threading.Thread(target=self._put_back, args=(path,), daemon=True).start()

    def _is_well(self, place: Place) -> bool:
        path = Path(self._pipeline.devices[place])
        return place not in self._pipeline.lost and not (self._folder / f"{path.name}.fault").exists()

    def _put_back(self, path: Path) -> None:
        gone = self._folder / f"{path.name}.gone"
        while not gone.exists():
            time.sleep(0.01)
        time.sleep(AWAY_S)
        gone.unlink(missing_ok=True)  # it may have vanished twice meanwhile


def _compiled(model: Path, scratch: Path) -> PlanFolder:
    loaded = read_model(model)
    folder = write(loaded, scratch / "plan", [even_stages(loaded, 3, [1, 2, 1]), even_stages(loaded, 2, [1, 1])])
    tool = find_compiler(standins.compiler(scratch / "bin"))
    files = tpu_files(folder)
    done = CompiledStages(compiler=tool).compile_files([folder.root / file for file in files])
    write_compiled(folder, dict(zip(files, done, strict=True)), tool.version)
    return folder


def _bytes(outputs: Mapping[str, Array]) -> bytes:
    return b"".join(array.tobytes() for array in outputs.values())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
