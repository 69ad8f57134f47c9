"""segsolve: proven-best segmentation of quantised TFLite CNNs over several Edge TPUs."""

__version__ = "0.1.0"
