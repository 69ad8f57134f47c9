"""Segments timed on a device of this machine: what profiles are made of, also on a machine without the solver."""
