"""Generated problems, graphs, files and questions, and an oracle that tries every plan of the small ones.

One place for tests and benchmarks. They depend one way: tests may import benchmarks, both import this package, and it
imports neither. Everything random takes a seed, or is drawn by hypothesis (`drawn`, for tests alone).
"""
