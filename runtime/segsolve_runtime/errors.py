"""What can go wrong while a plan is read or run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segsolve_runtime.contract.wording import runs

if TYPE_CHECKING:
    from segsolve_runtime.contract.arrays import Tensors
    from segsolve_runtime.contract.places import Place

_MOST_NAMED = 12


class RuntimeFault(Exception):
    """Base of this package's errors; the message is one sentence for the user.

    `exit_code` is what ``segsolve`` and ``segsolve-run`` end with; README lists them.
    """

    exit_code = 9


class PlanError(RuntimeFault):
    """The plan folder cannot be used: missing, altered, of another version, or not self-consistent."""

    exit_code = 6


class BackendError(RuntimeFault):
    """No backend has the name that was asked for."""

    exit_code = 2


class HardwareError(RuntimeFault):
    """An Edge TPU, or what drives it, is missing or cannot be used."""

    exit_code = 12


class SettingError(RuntimeFault):
    """A variable of the environment has a value that makes no sense."""

    exit_code = 2


class InputError(RuntimeFault):
    """A frame does not fit the model's inputs."""

    exit_code = 2


class ResultError(RuntimeFault):
    """A result cannot be written where it should go."""

    exit_code = 8


class ClosedError(RuntimeFault):
    """The pipeline was closed, or another ``map`` was begun, before this one ended."""


class DeviceLostError(RuntimeFault):
    """Raised by a runner whose device is gone: it is not asked again."""


class OutageError(DeviceLostError):
    """No pipeline was whole for as long as a lost device is waited for; that says nothing of the inference."""


class ProcessDiedError(RuntimeFault):
    """Raised by a runner whose process ended during an inference; it has another one for the next."""


class StageTimeoutError(RuntimeFault):
    """A stage did not come to an end in time."""


class StageError(RuntimeFault):
    """A stage raised while it ran an inference; the original exception is the cause.

    `lost` are the numbers of the inferences, this one included, that were accepted and have no result.
    """

    def __init__(
        self, place: Place, inference: int, cause: BaseException, *, where: str = "", lost: Sequence[int] = ()
    ) -> None:
        what = f"{type(cause).__name__}: {cause}" if not isinstance(cause, StageTimeoutError) else str(cause)
        named = f"; lost: {named_numbers(lost)}" if len(lost) > 1 else ""
        super().__init__(f"{where or f'stage {place.stage}'} failed on inference {inference}: {what}{named}")
        self.place, self.stage, self.inference = place, place.stage, inference
        self.where, self.lost = where, tuple(lost)
        self.__cause__ = cause

    def losing(self, lost: Sequence[int]) -> StageError:
        """Return the same error with the inferences that were lost."""
        assert self.__cause__ is not None
        inference = min(lost, default=self.inference) if self.inference not in lost else self.inference
        return StageError(self.place, inference, self.__cause__, where=self.where, lost=lost)

    def of_model(self, name: str) -> StageError:
        """Return the same error for a run of several models, of which this is one."""
        assert self.__cause__ is not None
        where = f"{name}: {self.where or f'stage {self.stage}'}"
        return StageError(self.place, self.inference, self.__cause__, where=where, lost=self.lost)


class DevicesLeftError(RuntimeFault):
    """Devices were lost, and the run gave back the frames that it had accepted and not done, by number."""

    def __init__(self, lost: Mapping[Place, str], undone: Mapping[int, Tensors]) -> None:
        reasons = "; ".join(lost.values())
        super().__init__(f"devices were lost ({reasons}); {len(undone)} inferences are not done")
        self.lost, self.undone = dict(lost), dict(undone)


class PoolDevicesLeftError(RuntimeFault):
    """Devices of a pool were lost, and the run gave back the frames that were not done: `of` the models, by name."""

    def __init__(self, of: Mapping[str, DevicesLeftError]) -> None:
        super().__init__("; ".join(f"{model}: {error}" for model, error in of.items()))
        self.of = dict(of)


def named_numbers(numbers: Sequence[int]) -> str:
    """Return numbers as text, consecutive ones as ranges: ``inferences 3-5, 9``."""
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs(sorted(numbers))]
    more = f" and {len(texts) - _MOST_NAMED} more ranges" if len(texts) > _MOST_NAMED else ""
    noun = "inference" if len(numbers) == 1 else "inferences"
    return f"{noun} {', '.join(texts[:_MOST_NAMED])}{more}"
