"""What all tests share."""

from __future__ import annotations

import signal

# A shell lets programs in the background ignore Ctrl-C, and children inherit that: tests of it would wait forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
