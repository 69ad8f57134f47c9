"""Metrics of a run for Prometheus: an endpoint that tells the figures of the moment whenever it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.errors import BackendError
from segsolve_runtime.flow.metrics import Metrics, StageMetrics

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_QUANTILES = (("0.5", "latency_p50_ns"), ("0.95", "latency_p95_ns"), ("0.99", "latency_p99_ns"))
_STAGE_SECONDS = (
    ("busy", "running inferences", "busy_ns"),
    ("blocked", "holding a result that has nowhere to go", "blocked_ns"),
    ("starved", "waiting for input", "starved_ns"),
)


class MetricsCollector:
    """Makes Prometheus metrics of what `metrics` returns, at every scrape."""

    def __init__(self, plan: Plan, metrics: Callable[[], Metrics]) -> None:
        self._plan, self._metrics = plan, metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        now, solution = self._metrics(), self._plan.solution
        info = {"model": self._plan.model.name, "device": self._plan.device.name, "layout": solution.layout}
        yield InfoMetricFamily("segsolve_plan", "The plan that runs.", info)
        yield CounterMetricFamily("segsolve_inferences", "Results given out.", now.count)
        yield CounterMetricFamily("segsolve_frames", "Frames taken, dropped ones included.", now.accepted)
        yield CounterMetricFamily("segsolve_dropped_frames", "Frames dropped for later ones.", now.dropped)
        yield GaugeMetricFamily("segsolve_waiting_frames", "Frames that wait for a first stage.", now.waiting)
        yield GaugeMetricFamily("segsolve_throughput_fps", "Results per second over the run.", now.throughput_fps)
        yield GaugeMetricFamily("segsolve_predicted_fps", "Predicted results per second.", solution.throughput_fps)
        latency = GaugeMetricFamily("segsolve_latency_seconds", "Of the latest results.", labels=["quantile"])
        for quantile, member in _QUANTILES:
            latency.add_metric([quantile], getattr(now, member) / 1e9)
        yield latency
        faults = CounterMetricFamily("segsolve_faults", "What went wrong at stages.", labels=["kind"])
        for kind, count in now.fault_counts.items():
            faults.add_metric([kind], count)
        yield faults
        yield from _stage_metrics(now.stages)


def _stage_metrics(stages: tuple[StageMetrics, ...]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    names = ["pipeline", "stage"]
    labels = [[str(stage.pipeline), str(stage.stage)] for stage in stages]
    for key, what, member in _STAGE_SECONDS:
        seconds = CounterMetricFamily(
            f"segsolve_stage_{key}_seconds", f"Time of a stage's devices {what}.", labels=names
        )
        for label, stage in zip(labels, stages, strict=True):
            seconds.add_metric(label, getattr(stage, member) / 1e9)
        yield seconds
    inferences = CounterMetricFamily("segsolve_stage_inferences", "Inferences of a stage.", labels=names)
    waiting = GaugeMetricFamily("segsolve_stage_waiting", "Inferences that wait for a stage.", labels=names)
    retired = GaugeMetricFamily("segsolve_stage_lost_devices", "Devices of a stage out of use.", labels=names)
    for label, stage in zip(labels, stages, strict=True):
        inferences.add_metric(label, stage.inferences)
        waiting.add_metric(label, stage.queue_now)
        retired.add_metric(label, stage.retired)
    yield from (inferences, waiting, retired)


@contextmanager
def serve_metrics(plan: Plan, metrics: Callable[[], Metrics], *, port: int, address: str) -> Iterator[None]:
    """Serve what `metrics` returns over HTTP, at ``/metrics``, while the context lasts.

    Raises:
        BackendError: the client library is not installed, or the port cannot be used.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise BackendError("metrics need a package: pip install prometheus-client") from None
    registry = CollectorRegistry()
    registry.register(MetricsCollector(plan, metrics))
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
