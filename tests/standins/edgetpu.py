"""The stand-in for libedgetpu, compiled from C: the real LiteRT loads it as a delegate, and the segments run in LiteRT.

What is tested with it is our own code and the documented interface. It says nothing about the real library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from segsolve_runtime.backends.edgetpu.library import LIBRARY_VARIABLE

from . import standin_kernel
from .standin_kernel import FOLDER_VARIABLE, KERNEL

SOURCE = Path(__file__).with_name("standin_libedgetpu.c")


def build(folder: Path) -> Path:
    """Compile the library, or skip the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / "standin_libedgetpu.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True, timeout=120
    )
    return library


class StandIn:
    """The library in this process and its children, with the devices that a test wants."""

    def __init__(self, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.folder, self._environment = file, folder, monkeypatch
        folder.mkdir(parents=True, exist_ok=True)
        self.set("STANDIN_EDGETPU_KERNEL", standin_kernel.__file__)
        self.set(LIBRARY_VARIABLE, str(file))
        for name in (FOLDER_VARIABLE, "STANDIN_EDGETPU_LOCKS"):
            self.set(name, str(folder))
        self._kernel = standin_kernel.register(str(file))
        self._library = ctypes.CDLL(str(file))
        self.attach("usb=/sys/bus/usb/devices/1-2", "pci=/dev/apex_0", "usb=/sys/bus/usb/devices/2-1")

    @property
    def used(self) -> list[str]:
        """Paths of the devices in the order in which they ran segments, in any process."""
        noted = self.folder / "used"
        return noted.read_text().splitlines() if noted.exists() else []

    def before_run(self, action: Callable[[], None]) -> None:
        """Do something before each run of a segment in this process."""
        self._kernel.before_run = action

    def attach(self, *devices: str) -> None:
        """Have these devices, in this order."""
        replace_text(self.folder / "devices", ",".join(devices))

    def fault(self, path: str, what: str) -> None:
        """Let something go wrong with a device, as ``standin_libedgetpu.c`` lists it."""
        replace_text(self.folder / f"{Path(path).name}.fault", what)

    def put_back(self, path: str) -> None:
        """Attach a device again that vanished."""
        (self.folder / f"{Path(path).name}.gone").unlink(missing_ok=True)

    def set(self, name: str, value: str) -> None:
        self._environment.setenv(name, value)

    def is_open(self, path: str) -> bool:
        """Whether any process has a device open."""
        with (self.folder / Path(path).name).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def close(self) -> None:
        self._library.standin_set_kernel(KERNEL(0))


def replace_text(path: Path, text: str) -> None:
    """Write a file at once: other processes read the old or the new text."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


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
