"""Opens a segment on an Edge TPU, in a process that may die: ``python -m ....probe LIBRARY DEVICE [SEGMENT]``."""

from __future__ import annotations

import sys


def main(library: str, device: str, *segments: str) -> None:
    """Load the delegate, and allocate a segment's tensors with it; exceptions and crashes end the process."""
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    delegate = load_delegate(library, {"device": device})
    for segment in segments:
        Interpreter(model_path=segment, experimental_delegates=[delegate]).allocate_tensors()


if __name__ == "__main__":
    main(*sys.argv[1:])
