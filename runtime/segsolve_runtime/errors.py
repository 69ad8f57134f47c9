"""What can go wrong while a plan is read or run."""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base of this package's errors; the message is one sentence for the user."""


class PlanError(RuntimeFault):
    """The plan folder cannot be used: missing, altered, of another version, or not self-consistent."""


class BackendError(RuntimeFault):
    """No backend has the name that was asked for."""


class HardwareError(RuntimeFault):
    """An Edge TPU, or what drives it, is missing or cannot be used."""


class InputError(RuntimeFault):
    """A frame does not fit the model's inputs."""


class ResultError(RuntimeFault):
    """A result cannot be written where it should go."""


class ClosedError(RuntimeFault):
    """The pipeline was closed, or another ``map`` was begun, before this one ended."""


class StageError(RuntimeFault):
    """A stage raised while it ran an inference; the original exception is the cause."""

    def __init__(self, stage: int, inference: int, cause: BaseException) -> None:
        super().__init__(f"stage {stage} failed on inference {inference}: {type(cause).__name__}: {cause}")
        self.stage = stage
        self.inference = inference
        self.__cause__ = cause
