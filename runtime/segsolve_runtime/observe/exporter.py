"""Metrics of a run for Prometheus: an endpoint that tells the figures of the moment whenever it is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.errors import BackendError
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.observe.heat import heat_of

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_QUANTILES = (("0.5", "latency_p50_ns"), ("0.95", "latency_p95_ns"), ("0.99", "latency_p99_ns"))
_FLOW = (
    ("counter", "segsolve_inferences", "Results given out.", "count"),
    ("counter", "segsolve_frames", "Frames taken, dropped ones included.", "accepted"),
    ("counter", "segsolve_dropped_frames", "Frames dropped for later ones.", "dropped"),
    ("gauge", "segsolve_waiting_frames", "Frames that wait for a first stage.", "waiting"),
    ("gauge", "segsolve_throughput_fps", "Results per second over the run.", "throughput_fps"),
)
_STAGE_SECONDS = (
    ("busy", "running inferences", "busy_ns"),
    ("blocked", "holding a result that has nowhere to go", "blocked_ns"),
    ("starved", "waiting for input", "starved_ns"),
)
_STAGE = (
    ("counter", "segsolve_stage_inferences", "Inferences of a stage.", "inferences"),
    ("counter", "segsolve_stage_late_inferences", "Inferences that took longer than their time is emulated.", "late"),
    ("gauge", "segsolve_stage_waiting", "Inferences that wait for a stage.", "queue_now"),
    ("gauge", "segsolve_stage_lost_devices", "Devices of a stage out of use.", "retired"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A plan that runs, what it measures, and the labels that tell it from others beside it."""

    plan: Plan
    metrics: Callable[[], Metrics]
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Collection[str] = ()
    """Paths of the devices, whose temperature is given where they tell it."""
    homes: Mapping[Place, str] = field(default_factory=dict)
    """The names of the devices that run the places: how long each was busy is given under them."""


class MetricsCollector:
    """Makes Prometheus metrics of what runs, at every scrape."""

    def __init__(self, observed: Sequence[Observed]) -> None:
        """Take what runs; all have labels of the same names."""
        self._observed = observed
        self._names = list(observed[0].labels) if observed else []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the moment."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        all_now = [(list(each.labels.values()), each.plan, each.metrics()) for each in self._observed]
        info = InfoMetricFamily("segsolve_plan", "The plan that runs.", labels=self._names)
        predicted = GaugeMetricFamily("segsolve_predicted_fps", "Predicted results per second.", labels=self._names)
        for labels, plan, _ in all_now:
            solution = plan.solution
            known = {
                "network" if "model" in self._names else "model": plan.model.name,
                "device": plan.device.name,
                "layout": solution.layout,
            }
            info.add_metric(labels, known)
            predicted.add_metric(labels, solution.throughput_fps)
        yield from (info, predicted)
        for kind, name, words, member in _FLOW:
            family = _family(kind, name, words, self._names)
            for labels, _, now in all_now:
                family.add_metric(labels, getattr(now, member))
            yield family
        faults = _family("counter", "segsolve_faults", "What went wrong at stages.", [*self._names, "kind"])
        for labels, _, now in all_now:
            for what, count in now.fault_counts.items():
                faults.add_metric([*labels, what], count)
        yield faults
        yield self._heat()
        yield self._busy()
        yield self._latency(all_now)
        yield from self._stages(all_now)

    def _heat(self) -> Metric:
        words = "Temperature of devices that tell it; those on USB do not."
        family = _family("gauge", "segsolve_device_celsius", words, [*self._names, "device"])
        for each in self._observed:
            for device in each.devices:
                if (heat := heat_of(device)) is not None:
                    family.add_metric([*each.labels.values(), device], heat.now_c)
        return family

    def _busy(self) -> Metric:
        """Return how long each device was busy with each model: an equal part of their stage's time for replicas."""
        words = "Time that a device was busy with inferences, by model where several share it."
        family = _family("counter", "segsolve_device_busy_seconds", words, [*self._names, "device"])
        for each in self._observed:
            stages = {(stage.pipeline, stage.stage): stage for stage in each.metrics().stages}
            busy: dict[str, float] = {}
            for place, device in each.homes.items():
                stage = stages[place.pipeline, place.stage]
                busy[device] = busy.get(device, 0.0) + stage.busy_ns / stage.replicas / 1e9
            for device, seconds in busy.items():
                family.add_metric([*each.labels.values(), device], seconds)
        return family

    def _latency(self, all_now: Sequence[tuple[list[str], Plan, Metrics]]) -> Metric:
        from prometheus_client.core import Metric

        name = "segsolve_latency_seconds"
        latency = Metric(name, "From a frame to its result; quantiles are those of the latest results.", "summary")
        for values, _, now in all_now:
            labels = dict(zip(self._names, values, strict=True))
            for quantile, member in _QUANTILES:
                latency.add_sample(name, {**labels, "quantile": quantile}, getattr(now, member) / 1e9)
            latency.add_sample(f"{name}_count", labels, now.count)
            latency.add_sample(f"{name}_sum", labels, now.latency_ns / 1e9)
        return latency

    def _stages(self, all_now: Sequence[tuple[list[str], Plan, Metrics]]) -> Iterator[Metric]:
        names = [*self._names, "pipeline", "stage"]
        seconds = [
            ("counter", f"segsolve_stage_{key}_seconds", f"Time of a stage's devices {what}.", member, 1e9)
            for key, what, member in _STAGE_SECONDS
        ]
        for kind, name, words, member, unit in [*seconds, *((*each, 1) for each in _STAGE)]:
            family = _family(kind, name, words, names)
            for labels, _, now in all_now:
                for stage in now.stages:
                    family.add_metric([*labels, str(stage.pipeline), str(stage.stage)], getattr(stage, member) / unit)
            yield family


def _family(kind: str, name: str, words: str, labels: Sequence[str]) -> CounterMetricFamily | GaugeMetricFamily:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    return (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, words, labels=labels)


@contextmanager
def serve_metrics(observed: Sequence[Observed], *, port: int, address: str) -> Iterator[None]:
    """Serve the figures of what runs over HTTP, at ``/metrics``, while the context lasts.

    Raises:
        BackendError: the client library is not installed, or the port cannot be used.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise BackendError("metrics need a package: pip install prometheus-client") from None
    registry = CollectorRegistry()
    registry.register(MetricsCollector(observed))
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except (OSError, OverflowError) as error:
        raise BackendError(f"metrics cannot be served at {address}:{port}: {error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
