"""The constraint program, and the only place that imports OR-Tools."""
