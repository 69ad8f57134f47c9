"""Segment files: cutting them out of a model, and proving them equal to it."""
