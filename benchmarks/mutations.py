"""Structure-aware mutations of models: each is read, verified and run, or refused in a sentence; nothing else.

Models are windows of a few operations, cut out of real models and of the zoo's, so that their structure is theirs; one
to three fields of the schema's objects are changed: shapes, types, scales, connections, options, data. Workers are
processes: one that dies by a signal, raises what it should not, or does not end is a fault, named by its seed.

    python -m benchmarks.mutations [READS [RUNS]]      # and $SEGSOLVE_MODELS, a folder of models

What is recorded is not tried again; of that, only the faults.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from benchmarks.memory import resident_mib
from benchmarks.slices import Slice, search, show

READS, RUNS = 1_000_000, 20_000
_SLICE = {"read": 20_000, "run": 500}
WINDOWS = 120
_LONGEST_S = 150.0  # a child that reads a model is given 120
_MOST_MACS = 2e9  # a mutation may ask for hours of honest work; that is no hang
_MOST_ELEMENTS = 5e7
_ZOO = ("mobilenetv2", "yolov8n", "efficientdet-lite0", "ssd-mobilenetv1", "nasnetmobile")
Mutation = Callable[[random.Random, Any], None]


def main(reads: int = READS, runs: int = RUNS, *, record: bool = True) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        write_windows(Path(folder))

        def found() -> Iterator[tuple[str, dict[str, Any]]]:
            for what, count in (("run", runs), ("read", reads)):
                attempt = partial(supervised, what, Path(folder))
                yield what, search(("mutations", "models", what), count, attempt, size=_SLICE[what], record=record)

        return show(found())


def write_windows(folder: Path, most: int = WINDOWS, models: Path | None = None) -> int:
    """Write windows of operations as files, and return their number."""
    from segsolve.graph.read import read_model
    from segsolve.segments.writer import segment_bytes, segment_of
    from segsolve.zoo.files import write_network

    rng, written = random.Random(0), 0
    models = models or Path(os.environ.get("SEGSOLVE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
    sources = [*models.glob("*.tflite"), *models.glob("pairs/*.tflite")]
    paths = sorted(path for path in sources if not path.stem.endswith("_edgetpu"))
    paths += [write_network(name, folder / "zoo") for name in _ZOO]
    loaded = [read_model(path) for path in paths]
    while written < most:
        model = rng.choice(loaded)
        first = rng.randrange(len(model.graph.ops))
        if rng.random() < 0.2:
            first = max(0, len(model.graph.ops) - rng.randint(1, 6))  # where the special operations are
        segment = segment_of(model.graph, range(first, min(len(model.graph.ops), first + rng.randint(1, 7))))
        content = segment_bytes(model, segment)
        if segment.inputs and len(content) < 200_000:
            (folder / f"{written}.window").write_bytes(content)
            written += 1
    return written


def supervised(what: str, folder: Path, seeds: Sequence[int]) -> Slice:
    """Let a worker go through seeds, and another from where one ends; return what became of them."""
    found, left = Slice(), list(seeds)
    while left:
        done = 0
        hangs = False
        for line in _lines(what, left, folder):
            if hangs := line is None:
                break
            found.add(**line)
            done += 1
        if done < len(left):
            why = "hangs" if hangs else "ends the process"
            found.add(left[done], why, why, 0.0)
        left = left[done + 1 :]
    return found


def _lines(what: str, seeds: Sequence[int], folder: Path) -> Iterator[dict[str, Any] | None]:
    """Yield what a worker says of each seed; None, and no more, where it says nothing for too long."""
    command = [sys.executable, "-m", "benchmarks.mutations", "--work", what, str(folder), *map(str, seeds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        assert worker.stdout is not None
        while True:
            timed_out = False

            def give_up() -> None:
                nonlocal timed_out
                timed_out = True
                worker.kill()

            timer = Timer(_LONGEST_S, give_up)
            timer.start()
            line = worker.stdout.readline()
            timer.cancel()
            if timed_out:
                yield None
                return
            if not line:
                return
            yield json.loads(line)


def work(what: str, folder: Path, seeds: Sequence[int]) -> None:
    """Go through seeds, and print what became of each as a line of JSON."""
    from ai_edge_litert import schema_py_generated as schema

    from segsolve.graph.flatbuffer import normalise

    windows = []
    for path in sorted(folder.glob("*.window")):
        content = path.read_bytes()
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        normalise(model, content)
        windows.append(pickle.dumps(model, protocol=5))
    gc.freeze()
    with tempfile.TemporaryDirectory() as own:
        for seed in seeds:
            outcome, why = _outcome(what, seed, windows, Path(own))
            fault = why if outcome == "fault" else ""
            line = {"seed": seed, "outcome": outcome, "fault": fault, "mib": resident_mib()}
            print(json.dumps(line), flush=True)


def _outcome(what: str, seed: int, windows: list[bytes], folder: Path) -> tuple[str, str]:
    path = folder / "mutant.tflite"
    try:
        path.write_bytes(mutant(seed, windows))
    except Exception:  # the schema's packer refuses what no file can hold
        return "not a file", ""
    try:
        return (_read if what == "read" else _read_and_run)(path, folder, seed)
    except Exception as error:
        return "fault", f"{type(error).__name__}: {error}"[:300]


def _read(path: Path, folder: Path, seed: int) -> tuple[str, str]:
    from generators.plan_folders import DEVICE
    from segsolve.errors import SegsolveError
    from segsolve.graph.read import read_model
    from segsolve.profile.analytic import AnalyticCosts
    from segsolve.segments.writer import segment_bytes, segments_of

    try:
        loaded = read_model(path)
    except SegsolveError as error:
        return ("died in a child" if "its process" in str(error) else "refused"), str(error)
    AnalyticCosts(graph=loaded.graph, device=DEVICE).problem(tpus=2)
    for segment in segments_of(loaded.graph, loaded.graph.cuts):
        segment_bytes(loaded, segment)
    return "read", ""


def _read_and_run(path: Path, folder: Path, seed: int) -> tuple[str, str]:
    from generators.plan_folders import even_stages, write
    from segsolve.errors import SegsolveError
    from segsolve.graph.read import read_model
    from segsolve.segments.verify import verify
    from segsolve_runtime import Pipeline, RuntimeFault, random_frames

    try:
        loaded = read_model(path)
        graph = loaded.graph
        sizes = sum(t.nbytes for t in graph.tensors)
        if graph.macs > _MOST_MACS or sizes > _MOST_ELEMENTS:
            return "too much work", ""
        plan = write(loaded, folder / "plan", [even_stages(loaded, 1 + seed % 3)])
        verify(plan, loaded, inputs=1)
        with Pipeline.load(plan) as pipeline:
            for _ in pipeline.map(random_frames(plan.plan, 2, seed)):
                pass
    except (SegsolveError, RuntimeFault) as error:
        died = "its process" in str(error)
        return ("died in a child" if died else f"refused: {type(error).__name__}"), str(error)
    return "ran", ""


def mutant(seed: int, windows: list[bytes]) -> bytes:
    """Return the file of a (pickled) window with one to three mutations."""
    from segsolve.graph.flatbuffer import pack

    rng = random.Random(seed)
    model = pickle.loads(rng.choice(windows))
    for _ in range(rng.randint(1, 3)):
        rng.choice(MUTATIONS)(rng, model)
    return pack(model)


def _tensor(rng: random.Random, model: Any) -> Any:
    return rng.choice(model.subgraphs[0].tensors)


def _operator(rng: random.Random, model: Any) -> Any:
    return rng.choice(model.subgraphs[0].operators)


def _number(rng: random.Random) -> int:
    return rng.choice([-1, 0, 1, 2, 3, 7, 8, 64, 127, 128, 255, 1000, 2**15, 2**20, 2**31 - 1, -(2**31)])


def _shape(rng: random.Random, model: Any) -> None:
    tensor = _tensor(rng, model)
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    match rng.randrange(5):
        case 0 if shape:
            shape[rng.randrange(len(shape))] = _number(rng)
        case 1:
            shape.insert(rng.randint(0, len(shape)), rng.choice([1, 2, 3]))
        case 2 if shape:
            shape.pop(rng.randrange(len(shape)))
        case 3:
            rng.shuffle(shape)
        case _:
            tensor.shape = None
            return
    tensor.shape = np.array(shape, np.int32)


def _open_shape(rng: random.Random, model: Any) -> None:
    tensor = _tensor(rng, model)
    shape = [int(n) for n in tensor.shape] if tensor.shape is not None else [1]
    tensor.shapeSignature = np.array([-1 if rng.random() < 0.5 else n for n in shape], np.int32)


def _type(rng: random.Random, model: Any) -> None:
    _tensor(rng, model).type = rng.randrange(20)


def _scale(rng: random.Random, model: Any) -> None:
    parameters = _tensor(rng, model).quantization
    if parameters is None:
        return
    match rng.randrange(5):
        case 0:
            parameters.scale = np.array([rng.choice([0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf")])], np.float32)
        case 1:
            parameters.zeroPoint = np.array([_number(rng)], np.int64)
        case 2:
            parameters.quantizedDimension = _number(rng)
        case 3:
            count = rng.randrange(9)
            parameters.scale, parameters.zeroPoint = np.full(count, 0.1, np.float32), np.zeros(count, np.int64)
        case _:
            parameters.scale = None


def _connection(rng: random.Random, model: Any) -> None:
    operator = _operator(rng, model)
    ends = "inputs" if rng.random() < 0.7 else "outputs"
    indices = [int(t) for t in getattr(operator, ends)]
    other = rng.choice([-1, rng.randrange(len(model.subgraphs[0].tensors)), len(model.subgraphs[0].tensors)])
    match rng.randrange(3):
        case 0 if indices:
            indices[rng.randrange(len(indices))] = other
        case 1 if indices:
            indices.pop(rng.randrange(len(indices)))
        case _:
            indices.append(other)
    setattr(operator, ends, np.array(indices, np.int32))


def _ends(rng: random.Random, model: Any) -> None:
    graph = model.subgraphs[0]
    ends = rng.choice(["inputs", "outputs"])
    setattr(graph, ends, np.array([*getattr(graph, ends), rng.randrange(len(graph.tensors))], np.int32))


def _kind(rng: random.Random, model: Any) -> None:
    code = rng.choice(model.operatorCodes)
    code.builtinCode = rng.randrange(210)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)


def _version(rng: random.Random, model: Any) -> None:
    rng.choice(model.operatorCodes).version = rng.choice([0, 1, 2, 3, 4, 99, -1])


def _option(rng: random.Random, model: Any) -> None:
    options = _operator(rng, model).builtinOptions
    names = [] if options is None else [n for n, v in vars(options).items() if isinstance(v, int | float)]
    if names:
        setattr(options, rng.choice(names), _number(rng) % 2**31)


def _custom(rng: random.Random, model: Any) -> None:
    _operator(rng, model).customOptions = np.frombuffer(rng.randbytes(rng.randrange(40)), np.uint8)


def _data(rng: random.Random, model: Any) -> None:
    full = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    if not full:
        return
    buffer = rng.choice(full)
    match rng.randrange(4):
        case 0:
            buffer.data = buffer.data[: rng.randrange(len(buffer.data) + 1)]
        case 1:
            buffer.data = None
        case _:
            data = np.array(buffer.data, np.uint8)
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            buffer.data = data


def _buffer(rng: random.Random, model: Any) -> None:
    _tensor(rng, model).buffer = rng.randrange(len(model.buffers) + 1)


def _variable(rng: random.Random, model: Any) -> None:
    tensor = _tensor(rng, model)
    tensor.isVariable = not tensor.isVariable


def _name(rng: random.Random, model: Any) -> None:
    _tensor(rng, model).name = rng.choice([None, b"", b"same", b"\xff\xfe", b"a\0b", b"x" * 300])


def _order(rng: random.Random, model: Any) -> None:
    operators = model.subgraphs[0].operators
    match rng.randrange(3):
        case 0:
            rng.shuffle(operators)
        case 1:
            operators.append(copy(rng.choice(operators)))
        case _:
            operators.pop(rng.randrange(len(operators)))


MUTATIONS: tuple[Mutation, ...] = (
    *(_shape, _shape, _open_shape, _type, _type, _scale, _scale, _connection, _connection, _ends, _kind, _version),
    *(_option, _option, _custom, _data, _data, _buffer, _variable, _name, _order),
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), [int(seed) for seed in sys.argv[4:]])
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
