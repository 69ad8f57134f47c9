"""What a server says while it runs: a JSON object per line on a stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Writes events; of requests only those that failed, unless all are wanted."""

    def __init__(self, stream: TextIO, *, all_requests: bool = False) -> None:
        self._stream, self._all_requests = stream, all_requests

    def event(self, event: str, **members: Any) -> None:
        """Write an event."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **members}
        self._stream.write(json.dumps(line, default=str) + "\n")
        self._stream.flush()

    def request(self, *, status: int, **members: Any) -> None:
        """Write what a request came to, if it failed here or all are wanted."""
        if self._all_requests or status >= 500:
            self.event("request", status=status, **members)
