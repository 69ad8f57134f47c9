"""A stand-in for edgetpu_compiler: its documented options, and what it prints and writes, in the real format.

It compiles nothing: the result holds the segment as it was. It is for tests, and never part of what is installed.
What it should do otherwise than succeed comes from the environment:
  STANDIN_COMPILER_VERSION    what it says its version is
  STANDIN_COMPILER_CAPACITY   bytes that stay on chip
  STANDIN_COMPILER_ON_CPU     a kind of operation that falls back to the CPU
  STANDIN_COMPILER_FAIL       what it prints instead of a report, and ends with 1
  STANDIN_COMPILER_FAILURES   a file with the number of times that it should fail before it succeeds
  STANDIN_COMPILER_SLEEP      seconds that a child of it sleeps first
  STANDIN_COMPILER_CALLS      a file to which it appends the names of its models
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

MIB = 2**20
VERSION = "16.0.384591198"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("-o", "--out_dir", type=Path, default=Path())
    parser.add_argument("-s", "--show_operations", action="store_true")
    parser.add_argument("-m", "--min_runtime_version", type=int, default=14)
    parser.add_argument("-t", "--timeout_sec", type=int, default=180)
    parser.add_argument("models", nargs="*", type=Path)
    options = parser.parse_args()
    version = os.environ.get("STANDIN_COMPILER_VERSION", VERSION)
    print(f"Edge TPU Compiler version {version}", flush=True)
    if options.version:
        return 0
    if version.startswith("16"):
        print(f"Started a compilation timeout timer of {options.timeout_sec} seconds.", flush=True)
    print()
    if seconds := os.environ.get("STANDIN_COMPILER_SLEEP"):
        subprocess.run([sys.executable, "-c", f"import time; time.sleep({seconds})"], check=True)
    if failure := _failure():
        print(failure)
        return 1
    free = int(os.environ.get("STANDIN_COMPILER_CAPACITY", 8 * MIB))
    for model in options.models:
        _note(model)
        text, free = _compile(model, options, version, free)
        print(text)
    if version.startswith("16"):
        print("Compilation child process completed within timeout period.\nCompilation succeeded! ")
    return 0


def _failure() -> str | None:
    if text := os.environ.get("STANDIN_COMPILER_FAIL"):
        return text
    name = os.environ.get("STANDIN_COMPILER_FAILURES")
    left = int(Path(name).read_text()) if name else 0
    if name and left:
        Path(name).write_text(str(left - 1))
        return "Internal compiler error. Aborting! "
    return None


def _note(model: Path) -> None:
    if name := os.environ.get("STANDIN_COMPILER_CALLS"):
        with Path(name).open("a") as file:
            file.write(f"{model.name}\n")


def _compile(model: Path, options: Any, version: str, capacity: int) -> tuple[str, int]:
    """Return what is said of a model, and what it leaves of the memory for those that are compiled with it."""
    from ai_edge_litert import schema_py_generated as schema

    from tests.standins.compiled import compiled

    content = model.read_bytes()
    output = options.out_dir / f"{model.stem}_edgetpu.tflite"
    output.write_bytes(compiled(content, options.min_runtime_version))
    parsed = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    onchip, offchip, free = _memory(parsed, capacity)
    kinds = _kinds(parsed, schema)
    table = _table(kinds)
    log = output.with_suffix(".log")
    log.write_text(f"Edge TPU Compiler version {version}\nInput: {model}\nOutput: {output}\n\n{table}")
    shown = table if options.show_operations else "See the operation log file for individual operation details.\n"
    said = (
        f"Model compiled successfully in 101 ms.\n\nInput model: {model}\nInput size: {size(len(content))}\n"
        f"Output model: {output}\nOutput size: {size(output.stat().st_size)}\n"
        f"On-chip memory used for caching model parameters: {size(onchip)}\n"
        f"On-chip memory remaining for caching model parameters: {size(free)}\n"
        f"Off-chip memory used for streaming uncached model parameters: {size(offchip)}\n"
        f"Number of Edge TPU subgraphs: 1\nTotal number of operations: {sum(kinds.values())}\n"
        f"Operation log: {log}\n\n{shown}"
    )
    return said, free


def _memory(model: Any, capacity: int) -> tuple[int, int, int]:
    """Keep the constants of one operation after the other, the largest first, while they fit."""
    (graph,) = model.subgraphs
    used, onchip, offchip = set[int](), 0, 0
    for operator in graph.operators:
        buffers = {graph.tensors[i].buffer for i in operator.inputs if i >= 0} - used
        used |= buffers
        constants = sum(len(model.buffers[b].data) for b in buffers if model.buffers[b].data is not None)
        if onchip + constants <= capacity:
            onchip += constants
        else:
            offchip += constants
    return onchip, offchip, capacity - onchip


def _kinds(model: Any, schema: Any) -> Counter[str]:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return Counter(names[codes[operator.opcodeIndex]] for operator in model.subgraphs[0].operators)


def _table(kinds: Counter[str]) -> str:
    on_cpu = os.environ.get("STANDIN_COMPILER_ON_CPU")
    rows = [f"{'Operator':<31}{'Count':<11}Status\n"]
    for kind, number in kinds.items():
        status = "More than one subgraph is not supported" if kind == on_cpu else "Mapped to Edge TPU"
        rows.append(f"{kind:<31}{number:<11}{status}")
    return "\n".join(rows) + "\n"


def size(number: float) -> str:
    """Write a size as the compiler does."""
    for unit in ("B", "KiB"):
        if number < 1024:
            return f"{number:.2f}{unit}"
        number /= 1024
    return f"{number:.2f}MiB"


if __name__ == "__main__":
    sys.exit(main())
