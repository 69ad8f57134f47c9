"""A server's life: opens its addresses, answers until it is told to end, and ends when what is under way is done."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.errors import BackendError
from segsolve_runtime.serve.connections import allow_many, log_faults, prompt_protocol
from segsolve_runtime.serve.log import Log
from segsolve_runtime.serve.models import Models

if TYPE_CHECKING:
    from segsolve_runtime.serve.detection import Detector

NAME = "segsolve"
MIB = 2**20
_BODY_PER_BYTE = 8
"""Characters of JSON per byte of a tensor, at most: a byte as ``-128, `` has 6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where and how to serve; sizes in bytes, times in seconds. No `grpc_port`: HTTP only; port 0: any that is free."""

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    max_body: int | None = None
    token: str | None = None
    grace_s: float = 30.0
    idle_s: float = 75.0  # as common servers have it: a request that meets the end of its idle connection is lost


def check_installed(*, grpc: bool) -> None:
    """Raise a BackendError if what serving needs is not installed."""
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

        if grpc:
            import tritonclient.grpc  # noqa: F401
    except ImportError as error:
        raise BackendError(
            f"to serve needs packages ({error.name} is missing): pip install 'segsolve[serve]'"
        ) from None


def serve(models: Models, options: ServerOptions, log: Log, detector: Detector | None = None) -> None:
    """Serve until SIGINT or SIGTERM; then take nothing more, and end when all under way is answered or `grace_s` over.

    Raises:
        BackendError: an address cannot be used.
    """
    allow_many()
    asyncio.run(Server(models, options, log, detector).run())


class Server:
    """Serves models at the addresses of its options; `ports` are known when `is_up` is set."""

    def __init__(self, models: Models, options: ServerOptions, log: Log, detector: Detector | None = None) -> None:
        self._models, self._options, self._log, self._detector = models, options, log, detector
        self._ends = asyncio.Event()
        self.is_up = asyncio.Event()
        self.ports: dict[str, int] = {}

    def end(self) -> None:
        """Begin to end; called twice, what is under way is given up."""
        if self._ends.is_set():
            self._http.force_exit = True
        self._models.is_open = False
        self._ends.set()

    async def run(self) -> None:
        """Serve until `end` is called."""
        import uvicorn

        from segsolve_runtime.serve.http import HttpServer

        options = self._options
        log_faults(asyncio.get_running_loop(), self._log)
        app = HttpServer(
            self._models,
            name=NAME,
            version=_version(),
            log=self._log,
            max_body=self._max_body(),
            token=options.token,
            detector=self._detector,
            idle_s=options.idle_s,
        ).app
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            http=prompt_protocol(options.idle_s),
            timeout_keep_alive=max(1, round(options.idle_s)),
            timeout_graceful_shutdown=max(1, round(options.grace_s)),
        )
        with _listening(options.host, options.port) as listener:
            self._http = _http_server(config)
            rpc = await self._start_grpc()
            self.ports["http"] = listener.getsockname()[1]
            with self._signals():
                self._log.event(
                    "serving", models=[model.name for model in self._models], host=options.host, **self.ports
                )
                serving = asyncio.ensure_future(self._http.serve(sockets=[listener]))
                self.is_up.set()
                await asyncio.wait(
                    {serving, ending := asyncio.ensure_future(self._ends.wait())}, return_when="FIRST_COMPLETED"
                )
                ending.cancel()
                self._log.event("ending", under_way=sum(model.under_way for model in self._models))
                self._http.should_exit = True
                await asyncio.gather(serving, *([rpc.stop(options.grace_s)] if rpc is not None else []))
        self._log.event("ended")

    async def _start_grpc(self) -> Any:
        options = self._options
        if options.grpc_port is None:
            return None
        from segsolve_runtime.serve.http import EXTENSIONS
        from segsolve_runtime.serve.rpc import Service, grpc_server

        service = Service(self._models, name=NAME, version=_version(), extensions=EXTENSIONS)
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{host}:{options.grpc_port}"
        try:
            server, port = grpc_server(service, address, max_body=self._max_body(), token=options.token)
        except OSError as error:
            raise BackendError(f"gRPC cannot be served: {error}") from None
        await server.start()
        self.ports["grpc"] = port
        return server

    def _max_body(self) -> int:
        """Return the most bytes of a request: what was asked for, or what the models' inputs may need, and 10 MiB."""
        if self._options.max_body is not None:
            return self._options.max_body
        sizes = [sum(_nbytes(spec) for spec in model.inputs.values()) for model in self._models]
        return 10 * MIB + _BODY_PER_BYTE * max(sizes, default=0)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop, caught = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        try:
            for each in caught:
                loop.add_signal_handler(each, self.end)
        except (RuntimeError, ValueError):  # not in the main thread: who runs it there ends it
            yield
            return
        try:
            yield
        finally:
            for each in caught:
                loop.remove_signal_handler(each)


def _http_server(config: Any) -> Any:
    import uvicorn

    class WithoutSignals(uvicorn.Server):
        """Leaves signals to `Server`, which has gRPC to end as well."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return WithoutSignals(config)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except (OSError, OverflowError) as error:
        raise BackendError(f"{host}:{port} cannot be served at: {error}") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except (OSError, OverflowError) as error:
            raise BackendError(f"{host}:{port} cannot be served at: {error}") from None
        listener.listen(2048)
        yield listener


def _nbytes(spec: Any) -> int:
    size = int(spec.dtype.itemsize)
    for each in spec.shape:
        size *= each
    return size


def _version() -> str:
    try:
        return version("segsolve")
    except PackageNotFoundError:
        return "unknown"


def read_token(path: Path) -> str:
    """Return the token in a file (BackendError if there is none)."""
    try:
        token = read_bounded_text(path, DOCUMENT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"the token {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise BackendError(f"the token {path} is not one word of ASCII")
    return token
