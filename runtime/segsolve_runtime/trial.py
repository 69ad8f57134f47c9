"""Tries files in a child process before they are run in ours: LiteRT ends the process of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsolve_runtime.native import call, note


class RefusedError(Exception):
    """LiteRT does not load a file; `name` says which, `why` what it said."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name, self.why = name, why


_tried: set[tuple[str, ...]] = set()


def try_files(files: Sequence[tuple[str, Path | bytes]], frame: Mapping[str, Any], digests: Sequence[str] = ()) -> None:
    """Run named files one after the other in a child, on a frame and what follows from it, tensors by name.

    Files of `digests` that were tried before are not tried again. What LiteRT refuses to run is left to the caller.

    Raises:
        NativeCrash: LiteRT ended its process, `where` says in which file.
        RefusedError: LiteRT does not load a file; of some such files it dies at another time, so do not try again.
    """
    key = tuple(digests)
    if key and key in _tried:
        return
    if (refused := call(f"{__name__}:_run_through", files, dict(frame))) is not None:
        raise RefusedError(*refused)
    if key:
        _tried.add(key)


def _run_through(files: Sequence[tuple[str, Path | bytes]], frame: dict[str, Any]) -> tuple[str, str] | None:
    from ai_edge_litert.interpreter import Interpreter

    tensors = frame
    for name, file in files:
        note(f"in {name}")
        try:
            source = {"model_content": file} if isinstance(file, bytes) else {"model_path": str(file)}
            interpreter = Interpreter(**source, num_threads=1)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            return name, str(error)
        try:
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], tensors[detail["name"]])
            interpreter.invoke()
            outputs = {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
        except (KeyError, RuntimeError, ValueError):
            return None
        tensors |= outputs
    return None
