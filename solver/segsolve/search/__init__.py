"""The best use of several TPUs: pipelines side by side, stages with replicas, on a chain or on any DAG."""
