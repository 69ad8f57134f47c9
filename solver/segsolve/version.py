"""The version of this release."""

from segsolve_runtime.version import __version__

__all__ = ["__version__"]
