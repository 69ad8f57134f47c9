"""The process of one device: opens the runners of its stages, and runs them on tensors in shared memory when told to.

It knows two descriptors: a socket for orders and answers, by which the memory of each stage comes, too, and a pipe that
ends with the parent. A thread waits for that, so that a child whose device hangs does not hold the device when its
parent is gone.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from segsolve_runtime.backends.isolated.memory import SharedTensors
from segsolve_runtime.contract.arrays import ArraySpec, misfit

OPEN, RUN, RESET, CLOSE = b"o", b"r", b"v", b"c"
DONE, RAISED = b"d", b"e"
LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a runner is made: ``package.module:function`` and what it is called with, all of which can be pickled."""

    function: str
    arguments: tuple[Any, ...]

    def make(self) -> Any:
        """Call the function."""
        module, name = self.function.split(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function(*self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a child is told about a stage that it is to open."""

    recipe: Recipe
    inputs: Sequence[ArraySpec]
    outputs: Sequence[ArraySpec]


@dataclass(slots=True)
class _Part:
    """A stage that is open: its runner, its tensors, and what it has to make."""

    runner: Any
    tensors: SharedTensors
    outputs: Sequence[ArraySpec]


def serve(orders: int, lifeline: int) -> None:
    """Answer orders until there are none; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    parts: dict[int, _Part] = {}
    with socket.socket(fileno=orders) as channel:
        with suppress(EOFError):
            while True:
                _answer(channel, parts)
        for part in parts.values():
            with suppress(Exception):
                part.runner.close()  # so that the device is given back in order
    os._exit(0)  # native code may crash while it is taken down, after all is done


def _answer(channel: socket.socket, parts: dict[int, _Part]) -> None:
    """Do what is told next: an order and the number of a stage (EOFError at the end)."""
    told, number = exactly(channel, 2)
    try:
        match bytes([told]):
            case b"r":
                _run(parts[number])
            case b"v":
                parts[number].runner.reset()
            case b"c":
                parts.pop(number).runner.close()
            case _:
                _, files, _, _ = socket.recv_fds(channel, 1, 1)
                order: Order = pickle.loads(receive(channel))
                tensors = SharedTensors(files[0], order.inputs, order.outputs)
                os.close(files[0])
                parts[number] = _Part(order.recipe.make(), tensors, order.outputs)
    except EOFError:
        raise
    except Exception as error:
        _say(channel, error)
    else:
        channel.sendall(DONE)


def _run(part: _Part) -> None:
    made = part.runner.run(part.tensors.inputs)
    for spec in part.outputs:
        array = made[spec.name]
        if array.dtype != spec.dtype or array.shape != spec.shape:
            raise misfit(spec, array)
        np.copyto(part.tensors.outputs[spec.name], array)


def _say(channel: socket.socket, error: Exception) -> None:
    try:
        data = pickle.dumps(error, protocol=5)
        pickle.loads(data)  # one that cannot be made anew would be found by the parent only
    except Exception:
        data = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"), protocol=5)
    channel.sendall(RAISED + LENGTH.pack(len(data)) + data)


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(0)


def receive(channel: socket.socket) -> bytes:
    """Return what follows a length (EOFError where the channel ends)."""
    (size,) = LENGTH.unpack(exactly(channel, LENGTH.size))
    return exactly(channel, size)


def exactly(channel: socket.socket, size: int) -> bytes:
    """Return so many bytes (EOFError where the channel ends)."""
    data = channel.recv(size)
    while 0 < len(data) < size and (more := channel.recv(size - len(data))):
        data += more
    if len(data) < size:
        raise EOFError
    return data
