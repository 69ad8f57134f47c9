"""A stage's runner in another process, as its pipeline sees it."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from segsolve_runtime.backends.isolated.child import CLOSE, DONE, LENGTH, OPEN, RESET, RUN, Order, Recipe, receive
from segsolve_runtime.backends.isolated.memory import SharedTensors, memory_bytes, memory_file
from segsolve_runtime.contract.arrays import Array, ArraySpec
from segsolve_runtime.errors import DeviceLostError, HardwareError, ProcessDiedError
from segsolve_runtime.native import complaint, how_it_ended

_CODE = (
    "import sys; sys.path[:] = {path!r}; from segsolve_runtime.backends.isolated.child import serve; "
    "serve({orders}, {lifeline})"
)
OPEN_TIMEOUT_S = 60.0
"""How long a device may take to open: 2.7 s for the interpreter over USB were reported, so this one hangs."""
_ENDS_IN_S = 5.0


class Household:
    """A process that several stages live in, as those of a device do which models share; or one by itself."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._members = 0

    def join(self) -> None:
        """Count one more stage."""
        with self._lock:
            self._members += 1

    def leave(self) -> bool:
        """Count one stage less, and say whether nobody is left."""
        with self._lock:
            self._members -= 1
            return self._members == 0

    def child(self, gone: _Child | None) -> _Child:
        """Return the process, a new one if there is none but the one that is `gone`."""
        with self._lock:
            if self._child is None or self._child is gone:
                if gone is not None:
                    gone.kill()
                self._child = _Child()
            return self._child

    def forget(self, child: _Child) -> None:
        """Note that a process has ended."""
        with self._lock:
            if self._child is child:
                self._child = None


class IsolatedRunner:
    """Runs a stage in a child process, with the tensors in memory that both share.

    A child that dies is a lost device, for all stages of its household. Where no device belongs to it, as on a CPU, it
    `restarts`: then only the inference fails, and the next one has a new child.
    """

    def __init__(
        self,
        recipe: Recipe,
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        *,
        what: str,
        restarts: bool = False,
        household: Household | None = None,
    ) -> None:
        """Start the process, which gets ready beside others; `open` has it open its stage, `what` names that."""
        self._order = Order(recipe=recipe, inputs=tuple(inputs), outputs=tuple(outputs))
        self._what, self._restarts = what, restarts
        self._owner, self._lock = os.getpid(), threading.Lock()
        self._household = household or Household()
        self._household.join()
        self._child: _Child | None = None
        self._part: _Part | None = None
        self._is_closed = False
        self.start()

    @property
    def pid(self) -> int | None:
        """The id of the process, if there is one."""
        child = self._child
        return None if child is None else child.process.pid

    @property
    def is_started(self) -> bool:
        """Whether there is a process, opened or not."""
        return self._child is not None

    def start(self) -> None:
        """Start a process, in place of one that may be there; of a household, the one that others have started."""
        with self._lock:
            if not self._is_closed:
                self._child, self._part = self._household.child(self._child), None

    def open(self) -> None:
        """Open the stage.

        Raises:
            HardwareError: the process died of it, or hung.
            RuntimeFault: what the function of the recipe raised.
        """
        child = self._child
        if child is None:
            raise HardwareError(f"{self._what} was closed")
        try:
            self._part = child.open(self._order)
        except TimeoutError:
            self.abandon()
            raise HardwareError(f"{self._what} did not open within {OPEN_TIMEOUT_S:g} s") from None
        except (EOFError, OSError):
            raise HardwareError(f"{self._what} cannot be opened: it {self._ended(child)}") from None
        except BaseException:
            self.abandon()
            raise

    def reopen(self) -> None:
        """Open the stage in a new process (HardwareError or another RuntimeFault as for `open`)."""
        self.start()
        self.open()

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return new arrays of the stage's outputs by name.

        Raises:
            DeviceLostError: the process has died, by itself or by `abandon`; or its device is gone.
            ProcessDiedError: the same, where it will be started anew.
            Exception: what the stage raised.
        """
        child, part = self._child, self._part
        if child is None and self._restarts and not self._is_closed:
            self.reopen()
            child, part = self._child, self._part
        if child is None or part is None:
            raise DeviceLostError(f"{self._what} was given up")
        try:
            for name, array in part.tensors.inputs.items():
                array[...] = tensors[name]
            child.ask(RUN, part.number)
        except (EOFError, OSError):
            raise self._lost(child) from None
        return {name: array.copy() for name, array in part.tensors.outputs.items()}

    def reset(self) -> None:
        """Give the variables of the stage the values that they are loaded with (errors as for `run`)."""
        child, part = self._child, self._part
        if child is None or part is None:
            return
        try:
            child.ask(RESET, part.number)
        except (EOFError, OSError):
            raise self._lost(child) from None

    def abandon(self) -> None:
        """Kill the process, from any thread; a `run` that waits for it ends with a DeviceLostError."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None and self._owner == os.getpid():
            self._household.forget(child)
            child.kill()

    def close(self) -> None:
        """Close the stage, and end the process if no other lives there; one that does not end by itself is killed."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            child, self._child = self._child, None
        if self._owner != os.getpid():
            return
        is_last = self._household.leave()
        if child is None:
            return
        if is_last:
            self._household.forget(child)
            child.kill(_ENDS_IN_S)
        elif self._part is not None:
            with suppress(Exception):  # where another stage hangs there, the process ends with the last of them
                child.ask(CLOSE, self._part.number, patience_s=_ENDS_IN_S)

    def _lost(self, child: _Child) -> Exception:
        how = self._ended(child)
        if self._restarts:
            return ProcessDiedError(f"{self._what} {how}")
        return DeviceLostError(f"{self._what} is lost: it {how}")

    def _ended(self, child: _Child) -> str:
        """Make sure that a child has ended, and return how."""
        with self._lock:
            if self._child is child:
                self._child = None
        self._household.forget(child)
        return child.kill(_ENDS_IN_S)


@dataclass(frozen=True, slots=True)
class _Part:
    """A stage that a child has opened: its number there, and its tensors."""

    number: int
    tensors: SharedTensors


class _Child:
    """A process and what it is reached by."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        read, self._lifeline = os.pipe()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._how: str | None = None
        self._parts = 0
        passed = (theirs.fileno(), read)
        try:
            code = _CODE.format(path=sys.path, orders=passed[0], lifeline=passed[1])
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                pass_fds=passed,
                process_group=0,  # Ctrl-C is the parent's to deal with
            )
        finally:
            theirs.close()
            os.close(read)

    def open(self, order: Order) -> _Part:
        """Have it open a stage (TimeoutError, EOFError, OSError, or what the stage raised)."""
        memory = memory_file(memory_bytes(order.inputs, order.outputs))
        try:
            tensors = SharedTensors(memory, order.inputs, order.outputs)
            data = pickle.dumps(order, protocol=5)
            with self._asking:
                number, self._parts = self._parts, self._parts + 1
                self._channel.settimeout(OPEN_TIMEOUT_S)
                self._channel.sendall(OPEN + bytes([number]))
                socket.send_fds(self._channel, [OPEN], [memory])  # with a byte of its own, which it comes with
                self._channel.sendall(LENGTH.pack(len(data)) + data)
                _answered(self._channel)
                self._channel.settimeout(None)
        finally:
            os.close(memory)
        return _Part(number, tensors)

    def ask(self, order: bytes, number: int, patience_s: float | None = None) -> None:
        """Have a stage do something, and wait until it is done (EOFError, OSError, or what the stage raised).

        With patience, what others have asked for is waited for only so long (TimeoutError).
        """
        if not self._asking.acquire(timeout=-1 if patience_s is None else patience_s):
            raise TimeoutError
        try:
            self._channel.send(order + bytes([number]))
            _answered(self._channel)
        finally:
            self._asking.release()

    def kill(self, patience_s: float = 0.0) -> str:
        """End the process, at once or after waiting for its own end, and return how it had ended."""
        with self._lock:
            if self._how is None:
                with suppress(OSError):
                    self._channel.shutdown(socket.SHUT_RDWR)  # who waits for an answer gets the end of the stream
                try:
                    self._how = how_it_ended(self.process.wait(patience_s))
                    self._printed.seek(0)
                    if said := complaint(self._printed.read()):
                        self._how += f" ({said})"
                except subprocess.TimeoutExpired:
                    self._how = "was given up"
                    self.process.kill()
                    self.process.wait()
                self._channel.close()
                self._printed.close()
                os.close(self._lifeline)
            return self._how


def _answered(channel: socket.socket) -> None:
    """Wait for an answer, and raise what it tells of (EOFError if there will be none)."""
    answer = channel.recv(1)
    if answer == DONE:
        return
    if not answer:
        raise EOFError
    error: BaseException = pickle.loads(receive(channel))
    raise error
