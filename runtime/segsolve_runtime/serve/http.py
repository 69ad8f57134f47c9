"""The HTTP side: an ASGI application."""

from __future__ import annotations

import asyncio
import hmac
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from segsolve_runtime.errors import InputError
from segsolve_runtime.serve.detection import DETECTION_PATH, Detector, detect
from segsolve_runtime.serve.exposition import exposition
from segsolve_runtime.serve.log import Log
from segsolve_runtime.serve.messages import LENGTH_HEADER, read_request, write_response
from segsolve_runtime.serve.models import Models, Refusal, ServedModel

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
_BIG_JSON = 100_000
"""Bytes of JSON from which on it is read in a thread, so that the others need not wait."""
_DIGITS = 20
"""Of a number of bytes, at most."""
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers requests about models."""

    def __init__(
        self,
        models: Models,
        *,
        name: str,
        version: str,
        log: Log,
        max_body: int,
        token: str | None = None,
        detector: Detector | None = None,
        idle_s: float = 75.0,
    ) -> None:
        self._models, self._log, self._max_body, self._idle_s = models, log, max_body, idle_s
        self._server = {"name": name, "version": version, "extensions": EXTENSIONS}
        self._detector = detector
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/v2", self._metadata),
            ("GET", "/v2/health/live", self._live),
            ("GET", "/v2/health/ready", self._ready),
            ("POST", "/v2/repository/index", self._index),
            ("GET", "/metrics", self._metrics),
            ("POST", DETECTION_PATH, self._detection),
        ]
        for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                ("GET", base, self._model(ServedModel.metadata)),
                ("GET", f"{base}/config", self._model(ServedModel.config)),
                ("GET", f"{base}/stats", self._model(lambda m: {"model_stats": [m.statistics()]})),
                ("GET", f"{base}/ready", self._model_ready),
                ("POST", f"{base}/infer", self._infer),
            ]
        routes.append(("GET", "/v2/models/stats", self._all_statistics))
        handlers = [Route(path, self._guarded(handle), methods=[method]) for method, path, handle in reversed(routes)]
        self.app: ASGIApp = _Token(Starlette(routes=handlers), token)

    def _guarded(self, handle: Handler) -> Handler:
        """Return a handler that answers errors as the protocol has them, and logs what it answered."""

        async def guarded(request: Request) -> Response:
            begin = perf_counter()
            try:
                response = await handle(request)
            except Refusal as refusal:
                headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
                response = _refused(request, refusal.message, refusal.status, headers)
            except InputError as error:
                response = _refused(request, str(error), 400)
            except HTTPException as error:  # of forms
                response = _refused(request, error.detail, error.status_code)
            except ClientDisconnect:
                response = Response(status_code=499)
            self._log.request(
                method=request.method,
                path=request.url.path,
                status=response.status_code,
                ms=round(1e3 * (perf_counter() - begin), 3),
                client=request.client.host if request.client else None,
            )
            return response

        return guarded

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(self._server)

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        return JSONResponse({"ready": self._models.is_ready}, 200 if self._models.is_ready else 503)

    async def _index(self, request: Request) -> Response:
        return JSONResponse([model.indexed() for model in self._models])

    async def _metrics(self, request: Request) -> Response:
        body, kind = exposition(self._models)
        return Response(body, media_type=kind)

    async def _all_statistics(self, request: Request) -> Response:
        return JSONResponse({"model_stats": [model.statistics() for model in self._models]})

    def _model(self, describe: Callable[[ServedModel], dict[str, Any]]) -> Handler:
        async def handle(request: Request) -> Response:
            return JSONResponse(describe(self._asked(request)))

        return handle

    async def _model_ready(self, request: Request) -> Response:
        model = self._asked(request)
        return JSONResponse({"name": model.name, "ready": model.is_ready}, 200 if model.is_ready else 503)

    async def _infer(self, request: Request) -> Response:
        model = self._asked(request)
        self._check_open()
        body = await self._body(request)
        length = request.headers.get(LENGTH_HEADER)
        if length is not None and not (length.isdecimal() and len(length) < _DIGITS):
            raise InputError(f"{LENGTH_HEADER} is {length[:_DIGITS]!r}; it is a number of bytes")
        arguments = (model, body, int(length) if length else None)
        is_big = length is None and len(body) > _BIG_JSON
        asked = await asyncio.to_thread(read_request, *arguments) if is_big else read_request(*arguments)
        result = await self._while_connected(request, model.infer(asked.inputs, asked.timeout_s))
        answer, json_length = write_response(model, asked, result)
        headers = {} if json_length is None else {LENGTH_HEADER: str(json_length)}
        kind = "application/json" if json_length is None else "application/octet-stream"
        return Response(answer, headers=headers, media_type=kind)

    async def _detection(self, request: Request) -> Response:
        if self._detector is None:
            raise Refusal(404, "no plan that is served ends in detections")
        self._check_open()
        detector, body = self._detector, await self._body(request)
        async with Request(request.scope, _replayed(body)).form(max_files=1, max_part_size=self._max_body) as form:
            upload = form.get("image")
            content = await upload.read() if upload is not None and not isinstance(upload, str) else None
            answer = await self._while_connected(request, detect(detector, content, form.get("min_confidence")))
        return JSONResponse(answer)

    def _asked(self, request: Request) -> ServedModel:
        return self._models.get(request.path_params["name"], request.path_params.get("version", ""))

    def _check_open(self) -> None:
        if not self._models.is_open:
            raise Refusal(503, "the server is about to end")

    async def _while_connected(self, request: Request, work: Awaitable[Any]) -> Any:
        """Return what comes of some work; cancel it when the client goes (ClientDisconnect)."""
        working = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientDisconnect
            return working.result()
        finally:
            for task in (working, gone):
                task.cancel()

    async def _body(self, request: Request) -> bytes:
        """Return the body, decompressed (Refusal if it is too big)."""
        parts, size, stream = [], 0, request.stream()
        while (part := await self._next(stream)) is not None:
            size += len(part)
            if size > self._max_body:
                raise self._too_big()
            parts.append(part)
        body = b"".join(parts)
        match request.headers.get("content-encoding", "identity"):
            case "identity" | "":
                return body
            case "gzip" | "deflate":
                return self._inflated(body)
            case other:
                raise Refusal(415, f"the content encoding {other!r} is not known; known are: gzip, deflate")

    async def _next(self, stream: AsyncGenerator[bytes, None]) -> bytes | None:
        """Return the next part of a body, None at its end (Refusal if it takes too long to come)."""
        try:
            async with asyncio.timeout(self._idle_s):
                return await anext(stream, None)
        except TimeoutError:
            raise Refusal(408, f"no more of the request has come within {self._idle_s:g} s") from None

    def _inflated(self, body: bytes) -> bytes:
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            inflated = inflater.decompress(body, self._max_body + 1)
        except zlib.error as error:
            raise InputError(f"the body cannot be decompressed: {error}") from None
        if len(inflated) > self._max_body:
            raise self._too_big()
        return inflated

    def _too_big(self) -> Refusal:
        return Refusal(413, f"the request has more than {self._max_body} bytes; --max-body says how many it may")


def _refused(request: Request, message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as the protocol has it, or as clients of detection expect it."""
    more = {"success": False, "code": status} if request.url.path == DETECTION_PATH else {}
    return JSONResponse({**more, "error": message}, status, headers)


def _replayed(body: bytes) -> Receive:
    """Return what gives a body that has come."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Token:
    """Lets only those in who know the token, if there is one; whether the server lives is for all."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._token is not None and scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                body = json.dumps({"error": "a token is needed: Authorization: Bearer TOKEN"}).encode()
                headers = {"WWW-Authenticate": "Bearer", "Content-Type": "application/json"}
                await Response(body, 401, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
