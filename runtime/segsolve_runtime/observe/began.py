"""How a pipeline began: the measured side of `contract.start`."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter


@dataclass(slots=True, kw_only=True)
class Began:
    """Seconds to open its devices, to run each stage once, and, since `since`, until the first result was there."""

    since: float
    open_s: float
    warm_up_s: float
    first_result_s: float | None = None

    @property
    def ready_s(self) -> float:
        """Until it could take a frame."""
        return self.open_s + self.warm_up_s

    def as_dict(self) -> dict[str, float | None]:
        """Return it as JSON has it."""
        return {"open_s": self.open_s, "warm_up_s": self.warm_up_s, "first_result_s": self.first_result_s}

    def note_result(self) -> None:
        """Note that there is a result; only the first one counts."""
        if self.first_result_s is None:
            self.first_result_s = perf_counter() - self.since
