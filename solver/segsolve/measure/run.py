"""Measures a model on a backend: its profile, and the meter for more of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsolve.errors import UsageError
from segsolve.graph.read import LoadedModel
from segsolve.measure.inputs import activations
from segsolve.measure.operations import Effort, measure_operations
from segsolve.measure.profile import environment, measured_segments, profile_of
from segsolve.measure.stages import StageMeter
from segsolve.profile.format import Profile
from segsolve.tune import Tuning

BACKENDS = ("litert", "edgetpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A model's profile, and the meter that measures stages under the same conditions."""

    profile: Profile
    meter: StageMeter


def measure_model(
    loaded: LoadedModel,
    *,
    ranges: Sequence[tuple[int, int]] = (),
    effort: Effort,
    seed: int = 0,
) -> Measured:
    """Measure all operations of a model, the whole of it, and further ranges (half-open) as segments.

    Raises:
        ModelError: LiteRT cannot run the model.
        UsageError: a range cannot be a segment.
    """
    for first, end in ranges:
        check_range(loaded, first, end)
    times = measure_operations(loaded, effort=effort, seed=seed)
    meter = StageMeter(loaded, times.tensors, effort)
    for first, end in ranges:
        meter(first, end)
    profile = profile_of(loaded.graph, times, meter.measured, effort=effort, seed=seed)
    return Measured(profile=profile, meter=meter)


def meter_of(loaded: LoadedModel, *, effort: Effort, seed: int = 0) -> StageMeter:
    """Return a meter for a model whose operations need not be measured.

    Raises:
        ModelError: LiteRT cannot run the model.
    """
    return StageMeter(loaded, activations(loaded, seed), effort)


def tuned_profile(profile: Profile, tuning: Tuning, meter: StageMeter, *, effort: Effort, seed: int) -> Profile:
    """Return a profile with the stages that a tuning measured on this CPU, and the scale that it found."""
    known = {(s.first_op, s.last_op + 1): s for s in profile.segments}
    new = {(s.first_op, s.last_op + 1): s for s in measured_segments(meter.measured)}
    return profile.model_copy(
        update={
            "segments": [segment for _, segment in sorted((known | new).items())],
            "scale": round(profile.scale * tuning.scale, 4),
            "environment": profile.environment or environment(effort, seed),
        }
    )


def check_range(loaded: LoadedModel, first: int, end: int) -> None:
    """Raise a UsageError if a range of operations cannot be a segment."""
    n = len(loaded.graph.ops)
    if not 0 <= first < end <= n:
        raise UsageError(
            f"{first}-{end - 1} is not a range of the operations 0 to {n - 1}", "see segsolve inspect --ops"
        )
    for cut in (first, end):
        if 0 < cut < n and cut not in loaded.graph.cuts:
            raise UsageError(f"operation {cut} cannot begin a segment", "see segsolve inspect")
