"""Stages in processes of their own: native code that ends its process, or hangs, costs a device and nothing else."""
