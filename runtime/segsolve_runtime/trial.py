"""Tries files in a child process before they are run in ours: LiteRT ends the process of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsolve_runtime.native import call, note

_tried: set[tuple[str, ...]] = set()


def try_files(files: Sequence[tuple[str, Path | bytes]], frame: Mapping[str, Any], digests: Sequence[str] = ()) -> None:
    """Run named files one after the other in a child, on a frame and what follows from it, tensors by name.

    Files of `digests` that were tried before are not tried again. What LiteRT refuses is left to the caller to find.

    Raises:
        NativeCrash: LiteRT ended its process, `where` says in which file.
    """
    key = tuple(digests)
    if key and key in _tried:
        return
    call(f"{__name__}:_run_through", files, dict(frame))
    if key:
        _tried.add(key)


def _run_through(files: Sequence[tuple[str, Path | bytes]], frame: dict[str, Any]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    tensors = frame
    for name, file in files:
        note(f"in {name}")
        try:
            source = {"model_content": file} if isinstance(file, bytes) else {"model_path": str(file)}
            interpreter = Interpreter(**source, num_threads=1)
            interpreter.allocate_tensors()
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], tensors[detail["name"]])
            interpreter.invoke()
            outputs = {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
        except (KeyError, RuntimeError, ValueError):
            return
        tensors |= outputs
