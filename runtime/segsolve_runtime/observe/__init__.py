"""What can be seen of a run: the measurement file, traces, drift from the prediction, metrics for Prometheus."""
