"""The process of one stage: opens its runner, and runs it on tensors in shared memory when it is told to.

It knows three descriptors: a socket for orders and answers, the memory, and a pipe that ends with the parent. A thread
waits for that, so that a child whose device hangs does not hold the device when its parent is gone.
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

RUN, RESET = b"r", b"v"
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
    """The first thing that a child is told."""

    recipe: Recipe
    inputs: Sequence[ArraySpec]
    outputs: Sequence[ArraySpec]


def serve(orders: int, memory: int, lifeline: int) -> None:
    """Answer orders until there are none; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    with socket.socket(fileno=orders) as channel:
        order: Order = pickle.loads(receive(channel))
        try:
            runner = order.recipe.make()
        except Exception as error:
            _say(channel, error)
            os._exit(0)
        channel.sendall(DONE)
        _work(channel, runner, SharedTensors(memory, order.inputs, order.outputs), order.outputs)
        with suppress(Exception):
            runner.close()  # so that the device is given back in order
    os._exit(0)  # native code may crash while it is taken down, after all is done


def _work(channel: socket.socket, runner: Any, tensors: SharedTensors, outputs: Sequence[ArraySpec]) -> None:
    while told := channel.recv(1):
        try:
            if told == RESET:
                runner.reset()
            else:
                made = runner.run(tensors.inputs)
                for spec in outputs:
                    array = made[spec.name]
                    if array.dtype != spec.dtype or array.shape != spec.shape:
                        raise misfit(spec, array)
                    np.copyto(tensors.outputs[spec.name], array)
        except Exception as error:
            _say(channel, error)
        else:
            channel.sendall(DONE)


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
    (size,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    return _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
