"""What stands for the Edge TPU's arithmetic in the stand-in for libedgetpu: the segment as it was, in the real LiteRT.

Every run is noted as a line with the device's path in the file ``used`` of the stand-in's folder. A process that opened
the stand-in and registered nothing runs this file: a device's own process, or any other program under test.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

FOLDER_VARIABLE = "STANDIN_EDGETPU_FOLDER"
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int,
    *(ctypes.c_char_p, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_size_t),
    *(ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int),
)
_kept: list[Any] = []  # what C calls must outlive its registration


class Kernel:
    """Runs segments; `before_run` is called before each."""

    def __init__(self) -> None:
        self.before_run: Callable[[], None] = lambda: None
        self._models: dict[tuple[int, int], Interpreter] = {}

    def run(
        self, path: bytes, model: Any, size: int, inputs: Any, input_count: int, outputs: Any, output_count: int
    ) -> int:
        """Run a segment on a device's path; the signature of the stand-in's kernel."""
        self.before_run()
        note(path.decode())
        interpreter = self._interpreter(ctypes.string_at(model, size), ctypes.addressof(model.contents))
        for k, detail in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(detail["index"], _view(inputs[k], detail))
        interpreter.invoke()
        for k, detail in enumerate(interpreter.get_output_details()):
            _view(outputs[k], detail)[...] = interpreter.get_tensor(detail["index"])
        return 0

    def _interpreter(self, content: bytes, address: int) -> Interpreter:
        key = (threading.get_ident(), address)
        if key not in self._models or self._models[key].content != content:
            interpreter = Interpreter(model_content=content)
            interpreter.allocate_tensors()
            interpreter.content = content
            self._models[key] = interpreter
        return self._models[key]


def note(path: str) -> None:
    """Note that a device ran a segment; a short write to the end of a file is not torn by others."""
    with (Path(os.environ[FOLDER_VARIABLE]) / "used").open("ab", buffering=0) as used:
        used.write(f"{path}\n".encode())


def register(library: str) -> Kernel:
    """Have the stand-in at `library` run segments here, in this process."""
    kernel = Kernel()
    function = KERNEL(kernel.run)
    _kept.append(function)
    ctypes.CDLL(library).standin_set_kernel(function)
    return kernel


def _view(address: int, detail: Any) -> Any:
    count = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
    memory = (ctypes.c_ubyte * count).from_address(address)
    return np.frombuffer(memory, detail["dtype"]).reshape(detail["shape"])
