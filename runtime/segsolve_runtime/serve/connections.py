"""Connections of clients that say nothing, and too many of them: each has an end, and the log has one line about it."""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import suppress
from typing import Any

from segsolve_runtime.serve.log import Log
from segsolve_runtime.shortage import shortage

_SAID_EVERY_S = 10.0


def prompt_protocol(idle_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, which closes a connection whose first request has no whole head within `idle_s`."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Prompt(AutoHTTPProtocol):  # type: ignore[misc, valid-type] # which of two it is, uvicorn finds out
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.loop.call_later(idle_s, self._close_if_nothing_was_asked)

        def _close_if_nothing_was_asked(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Prompt


def allow_many() -> None:
    """Let this process have as many connections as the system lets it: shells start it with 1024 files, say."""
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def log_faults(loop: asyncio.AbstractEventLoop, log: Log) -> None:
    """Let what goes wrong between requests be an event, once in a while: asyncio says each in a page, thousandfold."""
    said: dict[str, float] = {}

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        reason = shortage(error) or (f"{type(error).__name__}: {error}" if error else "")
        message, now = f"{context['message']}: {reason}", time.monotonic()
        if now - said.get(message, -_SAID_EVERY_S) >= _SAID_EVERY_S:
            said[message] = now
            log.event("fault", message=message)

    loop.set_exception_handler(note)
