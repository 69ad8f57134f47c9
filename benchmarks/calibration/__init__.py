"""Holds the Edge TPU device model against published measurements, fits it, and writes the device descriptions."""
