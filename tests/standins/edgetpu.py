"""The stand-in for libedgetpu, compiled from C: the real LiteRT loads it as a delegate, and the segments run in LiteRT.

What is tested with it is our own code and the documented interface. It says nothing about the real library.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from segsolve_runtime.backends.edgetpu.library import LIBRARY_VARIABLE

SOURCE = Path(__file__).with_name("standin_libedgetpu.c")
_KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int,
    *(ctypes.c_char_p, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_size_t),
    *(ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int),
)


def build(folder: Path) -> Path:
    """Compile the library, or skip the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / "standin_libedgetpu.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
    return library


class StandIn:
    """The library in this process, with the devices that a test wants."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self._environment = file, monkeypatch
        self.used: list[str] = []
        """Paths of the devices in the order in which they ran segments."""
        self.before_run: Callable[[int], None] = lambda number: None
        """Called with the number of each run of a segment, before it."""
        self._models: dict[tuple[int, int], Interpreter] = {}
        self._library = ctypes.CDLL(str(file))
        self._kernel = _KERNEL(self._run)  # must outlive its registration
        self._library.standin_set_kernel(self._kernel)
        self.set(LIBRARY_VARIABLE, str(file))
        self.attach("usb=/sys/bus/usb/devices/1-2", "pci=/dev/apex_0", "usb=/sys/bus/usb/devices/2-1")

    def attach(self, *devices: str) -> None:
        """Have these devices, in this order."""
        self.set("STANDIN_EDGETPU_DEVICES", ",".join(devices))

    def set(self, name: str, value: str) -> None:
        self._environment.setenv(name, value)

    def users(self, path: str) -> int:
        """How often a device is open in this process."""
        return int(self._library.standin_users(path.encode()))

    def close(self) -> None:
        self._library.standin_set_kernel(_KERNEL(0))

    def _run(
        self, path: bytes, model: Any, size: int, inputs: Any, input_count: int, outputs: Any, output_count: int
    ) -> int:
        self.before_run(len(self.used))
        self.used.append(path.decode())
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


@contextmanager
def in_use_by_another(paths: Sequence[str], locks: Path) -> Iterator[int]:
    """Hold devices from another process as long as the context lasts; yield its id."""
    script = (
        "import fcntl, sys; files = [open(name, 'w') for name in sys.argv[1:]];"
        "[fcntl.flock(f, fcntl.LOCK_EX) for f in files]; print('held', flush=True); sys.stdin.read()"
    )
    files = [str(locks / Path(path).name) for path in paths]
    command = [shutil.which("python3") or "python3", "-c", script, *files]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        yield holder.pid
        holder.stdin.close()


def _view(address: int, detail: Any) -> Any:
    count = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
    memory = (ctypes.c_ubyte * count).from_address(address)
    return np.frombuffer(memory, detail["dtype"]).reshape(detail["shape"])
