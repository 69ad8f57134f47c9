"""All that a server can be asked for by Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from segsolve_runtime.observe.exporter import MetricsCollector, Observed
from segsolve_runtime.serve.models import Models

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class _Requests:
    """What was asked of each model."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield the counts of the moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "segsolve_requests", "Requests for inferences, by the status of HTTP.", labels=["model", "status"]
        )
        seconds = HistogramMetricFamily(
            "segsolve_request_seconds", "Time of requests that had a result.", labels=["model"]
        )
        under_way = GaugeMetricFamily("segsolve_requests_under_way", "Requests without an answer.", labels=["model"])
        ready = GaugeMetricFamily("segsolve_model_ready", "Whether a model takes requests.", labels=["model"])
        for model in self._models:
            for status, count in model.tally.by_status.items():
                requests.add_metric([model.name, str(status)], count)
            seconds.add_metric([model.name], model.tally.histogram(), model.tally.done_ns / 1e9)
            under_way.add_metric([model.name], model.under_way)
            ready.add_metric([model.name], model.is_ready)
        yield from (requests, seconds, under_way, ready)


def exposition(models: Models) -> tuple[bytes, str]:
    """Return the metrics of the moment, and their media type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Requests(models))
    observed = [
        Observed(
            plan=model.plan,
            metrics=model.pipeline.metrics,
            labels={"model": model.name},
            devices=[*model.pipeline.devices.values()],
            homes=model.homes,
        )
        for model in models
    ]
    registry.register(MetricsCollector(observed))
    return generate_latest(registry), CONTENT_TYPE_LATEST
