"""The gRPC side, on the protocol's stubs as `tritonclient` ships them: a superset of the protocol's own, generated."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import InputError
from segsolve_runtime.serve.models import PLATFORM, VERSION, Models, Refusal, ServedModel
from segsolve_runtime.serve.tensors import by_name, datatype, from_bytes, from_list, to_bytes

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The field of `InferTensorContents` that has the numbers of a type; FP16 has none."""
_UNREADABLE = "the request is no message of the protocol"
Context: TypeAlias = Any
"""`grpc.aio.ServicerContext`: the library says nothing of types."""


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers calls about models; all that Triton has besides is unimplemented, and says so."""

    def __init__(self, models: Models, *, name: str, version: str, extensions: list[str]) -> None:
        self._models = models
        self._server = {"name": name, "version": version, "extensions": extensions}

    async def ServerLive(self, request: Any, context: Context) -> Any:
        """Return whether the server lives."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:
        """Return whether all models take requests."""
        return service_pb2.ServerReadyResponse(ready=self._models.is_ready)

    async def ModelReady(self, request: Any, context: Context) -> Any:
        """Return whether a model takes requests."""
        model = await self._asked(request.name, request.version, context)
        return service_pb2.ModelReadyResponse(ready=model.is_ready)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:
        """Return what the server is."""
        return service_pb2.ServerMetadataResponse(**self._server)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:
        """Return a model's description."""
        model = await self._asked(request.name, request.version, context)
        return service_pb2.ModelMetadataResponse(**model.metadata())

    async def ModelConfig(self, request: Any, context: Context) -> Any:
        """Return a model's configuration."""
        model = await self._asked(request.name, request.version, context)
        known = model.config()
        config = model_config_pb2.ModelConfig(name=model.name, platform=PLATFORM, backend=known["backend"])
        for key, field in (("input", config.input), ("output", config.output)):
            for each in known[key]:
                kind = model_config_pb2.DataType.Value(each["data_type"])
                field.add(name=each["name"], data_type=kind, dims=each["dims"])
        for key, value in known["parameters"].items():
            config.parameters[key].string_value = value["string_value"]
        return service_pb2.ModelConfigResponse(config=config)

    async def ModelStatistics(self, request: Any, context: Context) -> Any:
        """Return what was asked of a model, or of all."""
        asked = [await self._asked(request.name, request.version, context)] if request.name else [*self._models]
        stats = [service_pb2.ModelStatistics(**model.statistics()) for model in asked]
        return service_pb2.ModelStatisticsResponse(model_stats=stats)

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:
        """Return all models."""
        index = service_pb2.RepositoryIndexResponse()
        for model in self._models:
            state = "READY" if model.is_ready else "UNAVAILABLE"
            index.models.add(
                name=model.name, version=VERSION, state=state, reason="" if state == "READY" else model.reason()
            )
        return index

    async def ModelInfer(self, request: Any, context: Context) -> Any:
        """Return a model's outputs for a frame."""
        try:
            return await self._infer(request, context.time_remaining())
        except Refusal as refusal:
            after = refusal.retry_after_s
            trailing = () if after is None else (("retry-after", str(after)),)
            await context.abort(_CODES[refusal.status], refusal.message, trailing)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        """Yield a model's outputs for each frame of a stream; an error is about its own frame only."""
        async for request in requests:
            if isinstance(request, DecodeError):
                yield service_pb2.ModelStreamInferResponse(error_message=_UNREADABLE)
                continue
            try:
                answer = await self._infer(request, context.time_remaining())
                yield service_pb2.ModelStreamInferResponse(infer_response=answer)
            except Refusal as refusal:
                empty = service_pb2.ModelInferResponse(id=request.id, model_name=request.model_name)
                yield service_pb2.ModelStreamInferResponse(error_message=refusal.message, infer_response=empty)

    async def _infer(self, request: Any, time_left_s: float | None) -> Any:
        model = self._models.get(request.model_name, request.model_version)
        if not self._models.is_open:
            raise Refusal(503, "the server is about to end")
        try:
            inputs = _inputs(model, request)
            wanted = [*dict.fromkeys(tensor.name for tensor in request.outputs)] or [*model.outputs]
            if unknown := [name for name in wanted if name not in model.outputs]:
                raise InputError(f"the model has no output {unknown[0]!r}; it makes {[*model.outputs]}")
        except InputError as error:
            raise Refusal(400, str(error)) from None
        limit_us = request.parameters["timeout"].int64_param if "timeout" in request.parameters else 0
        if limit_us < 0:
            raise Refusal(400, f"the parameter timeout is {limit_us}; it is a number of microseconds")
        limits = [limit for limit in (time_left_s, limit_us / 1e6 or None) if limit is not None]
        return _answer(model, request.id, wanted, await model.infer(inputs, min(limits, default=None)))

    async def _asked(self, name: str, version: str, context: Context) -> ServedModel:
        try:
            return self._models.get(name, version)
        except Refusal as refusal:
            await context.abort(_CODES[refusal.status], refusal.message)
            raise  # not reached: abort raises


def _inputs(model: ServedModel, request: Any) -> dict[str, Array]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InputError(f"there are {len(raw)} raw inputs for {len(request.inputs)} inputs")
    inputs = {}
    for k, tensor in enumerate(request.inputs):
        spec = by_name(model.inputs, tensor.name)
        if raw:
            inputs[spec.name] = from_bytes(spec, tensor.datatype, [*tensor.shape], raw[k])
        elif datatype(spec) in _CONTENTS:
            numbers = [*getattr(tensor.contents, _CONTENTS[datatype(spec)])]
            inputs[spec.name] = from_list(spec, tensor.datatype, [*tensor.shape], numbers)
        else:
            raise InputError(f"the input {tensor.name!r} is {datatype(spec)}, which comes as raw bytes only")
    return inputs


def _answer(model: ServedModel, request_id: str, wanted: list[str], result: Result) -> Any:
    answer = service_pb2.ModelInferResponse(model_name=model.name, model_version=VERSION, id=request_id)
    for name in wanted:
        spec = model.outputs[name]
        answer.outputs.add(name=name, datatype=datatype(spec), shape=spec.shape)
        answer.raw_output_contents.append(to_bytes(result[name]))
    return answer


class _Words(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Says what the library would say as an exception of its own: an unreadable request, a call that is not there."""

    async def intercept_service(self, go_on: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return what handles the call."""
        handler = await go_on(details)
        if handler is None:
            return None
        read, answer = handler.request_deserializer, handler.unary_unary

        def tolerantly(content: bytes) -> Any:
            try:
                return read(content)
            except DecodeError as error:
                return error

        async def in_words(request: Any, context: Context) -> Any:
            if isinstance(request, DecodeError):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _UNREADABLE)
            try:
                return await answer(request, context)
            except NotImplementedError:
                name = details.method.rpartition("/")[2]
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"there is no {name} here")

        words = {} if answer is None else {"unary_unary": in_words}
        return handler._replace(request_deserializer=tolerantly, **words) if read else handler


class _Token(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets only those in who know the token; whether the server lives is for all."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}"

    async def intercept_service(self, go_on: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return what handles the call, or what refuses it."""
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), "")
        is_free = details.method.rpartition("/")[2] in ("ServerLive", "ServerReady")
        if is_free or hmac.compare_digest(str(given), self._wanted):
            return await go_on(details)

        async def refuse(request: Any, context: Context) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed: authorization: Bearer TOKEN")

        return grpc.unary_unary_rpc_method_handler(refuse)


def grpc_server(service: Service, address: str, *, max_body: int, token: str | None) -> tuple[Any, int]:
    """Return a server that listens once it is started, and its port.

    Raises:
        OSError: the address cannot be used.
    """
    options = [
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(interceptors=[*([_Token(token)] if token else []), _Words()], options=options)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be used: {error}") from None
    return server, port
