"""Hostile clients of `segsolve serve`: odd bodies, headers and bytes; some dawdle, half close, reset or go silent.

One server, a real process, serves a classifier and a detector. Each seed is a connection: a request that is altered
(its JSON, tensors, form or bytes), sent whole or in pieces, and then read, half closed, reset, or left hanging; or a
call of gRPC whose message, metadata or deadline are altered. An answer of 500 or more (UNKNOWN, INTERNAL), a traceback
in the log, and a good request that is not answered rightly afterwards are faults; so is a server that does not end with
0 when it is told to.

    python -m benchmarks.hostile_clients [--record] [CONNECTIONS [CALLS]]
"""

from __future__ import annotations

import http.client
import io
import json
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import grpc
import numpy as np
from PIL import Image
from tritonclient.grpc import service_pb2

from benchmarks.hostile import altered, garbled
from benchmarks.memory import resident_mib
from benchmarks.slices import Slice, search, show
from generators.command import inside
from segsolve.zoo.files import write_network
from segsolve_runtime.contract.plan import Plan, TensorSpec, load_plan
from segsolve_runtime.serve.tensors import DATATYPES

CONNECTIONS = CALLS = 10_000
SEED = 14
_SLICE = 1000
_PATIENCE_S = 120.0
_SILENT = 40  # connections that are left hanging at any time
_CLASSIFIER, _DETECTOR = "synthetic-dense-50", "ssd-mobilenetv1"
_ODD = (b"\0", b"9" * 5000, b"-1", b"x" * 9000, b"\xff\xfe", b"\xb2", b"1e3", b"", b"0x10", b"a\tb", b"chunked, gzip")
_HEADERS = (
    *(b"Inference-Header-Content-Length", b"Content-Length", b"Content-Encoding", b"Transfer-Encoding", b"Expect"),
    *(b"Content-Type", b"Authorization", b"Connection", b"Host", b"Upgrade", b"Range", b"X-\xe9"),
)
_PATHS = (
    *(
        b"/",
        b"//",
        b"/v2",
        b"/v2/models/%00/infer",
        b"/v2/models/../../etc/infer",
        b"/v2/models/kinds/versions/9/infer",
    ),
    *(b"/v2/models/%ff", b"/v2/models/" + b"k" * 9000, b"/v2/models/stats", b"/metrics", b"*", b"http://x/v2", b"\xff"),
    *(b"/v2/repository/index", b"/v2/models/kinds/config?x=%zz", b"/v2/health/ready", b"/v1/vision/detection"),
)


def main(connections: int = CONNECTIONS, calls: int = CALLS, *, record: bool = False) -> bool:
    found = {}
    with served() as server:
        for kind, count, tries in (("clients", connections, attack), ("rpc", calls, attack_rpc)):
            attempt = partial(tries, server)
            found[kind] = search(("hostile", "kinds", kind), count, attempt, size=_SLICE, record=record)
        faults = server.end()
    for fault in faults:
        print(f"fault: {fault}", flush=True)
    return show(found.items()) or bool(faults)


@dataclass
class Served:
    """A server, what it says, and the connections that are left hanging."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    port: int
    rpc_port: int
    plan: Plan
    silent: list[socket.socket] = field(default_factory=list)

    def is_well(self) -> str:
        """Return what is wrong with the answer to a good request; nothing if it is as it should be."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request("POST", "/v2/models/kinds/infer", json.dumps(_good(self.plan)))
            answer = connection.getresponse()
            document = json.loads(answer.read())
            outputs = [output["name"] for output in document.get("outputs", [])]
            return "" if answer.status == 200 and outputs == [*self.plan.outputs] else f"a good request: {document}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"a good request has no answer: {type(error).__name__}: {error}"
        finally:
            connection.close()

    def said(self) -> str:
        """Return what was logged since the last time."""
        return self.log.read().decode(errors="replace")

    def end(self) -> list[str]:
        """End the server, and return what is wrong with how it ends."""
        for each in self.silent:
            each.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return ["it does not end"]
        said = self.said()
        return [] if code == 0 and "Traceback" not in said else [f"it ends with {code}: {said[-500:]}"]


@contextmanager
def served() -> Iterator[Served]:
    """Serve a classifier and a detector while the context lasts."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for plan, network in (("kinds", _CLASSIFIER), ("objects", _DETECTOR)):
            model = write_network(network, folder)
            done = inside("solve", str(model), "--tpus", "1", "--no-verify", "-o", str(folder / plan))
            if done.code:
                raise RuntimeError(done.stderr)
        plans = [f"{each}={folder / each}" for each in ("kinds", "objects")]
        command = [sys.executable, "-m", "segsolve", "serve", *plans, "--port", "0", "--grace", "5"]
        command += ["--grpc", "--grpc-port", "0"]
        log = folder / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stderr=stream, stdin=subprocess.DEVNULL)
        try:
            with log.open("rb") as reader:
                yield Served(process, reader, *_ports(process, log), load_plan(folder / "kinds").plan)
        finally:
            process.kill()
            process.wait()


def _ports(process: subprocess.Popen[bytes], log: Path) -> tuple[int, int]:
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(r'"grpc": (\d+), "http": (\d+)', log.read_text(encoding="utf-8")):
            return int(found[2]), int(found[1])
        time.sleep(0.05)
    raise RuntimeError(log.read_text(encoding="utf-8"))


def attack(
    server: Served,
    seeds: Sequence[int],
    kind: str = "clients",
    one: Callable[[Served, random.Random], tuple[str, str]] | None = None,
) -> Slice:
    """Make a connection of each seed, or a call."""
    found = Slice()
    for seed in seeds:
        rng = random.Random(f"{SEED} {kind} {seed}")
        outcome, fault = (one or _connection)(server, rng)
        said = server.said()
        if "Traceback" in said or re.search(r'"status": 50[^4]|"fault"', said):
            fault = fault or f"it logs {said[-300:]}"
        elif not fault and seed % 10 == 0:
            fault = server.is_well()
        found.add(seed, outcome, fault, resident_mib(server.process.pid))
    return found


def _connection(server: Served, rng: random.Random) -> tuple[str, str]:
    """Return how a connection ends, and what is wrong with that."""
    content = _request(rng, server.plan)
    with ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE_S))
        try:
            _send(client, content, rng)
            manner = rng.choice(("reset", "silent", *["half closed"] * 6))
            if manner == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif manner == "silent":
                server.silent.append(client)
                stack.pop_all()
                if len(server.silent) > _SILENT:
                    server.silent.pop(0).close()
            if manner != "half closed":
                return manner, ""
            client.shutdown(socket.SHUT_WR)  # what is not whole is given up
            return _judged(content, b"".join(iter(lambda: client.recv(65536), b"")))
        except TimeoutError:
            return "no answer", f"neither an answer nor an end to {content[:200]!r}"
        except OSError:
            return "closed by the server", ""


def attack_rpc(server: Served, seeds: Sequence[int]) -> Slice:
    """Make a call of gRPC of each seed."""
    return attack(server, seeds, "rpc", _call)


def _call(server: Served, rng: random.Random) -> tuple[str, str]:
    """Return the code of a call, and what is wrong with that."""
    method = rng.choice(_METHODS) if rng.random() < 0.3 else "ModelInfer"
    message, metadata = _message(rng, server.plan, method), rng.choice(_METADATA)
    way, patience_s = rng.choice(("unary_unary", "unary_unary", "stream_stream")), rng.choice((0.0, 1e-4, 30.0, 30.0))
    with grpc.insecure_channel(f"127.0.0.1:{server.rpc_port}") as channel:
        ask = getattr(channel, way)(f"/inference.GRPCInferenceService/{method}")
        try:
            if way == "unary_unary":
                ask(message, timeout=patience_s, metadata=metadata)
            else:
                for answer in ask(iter([message] * rng.randint(1, 3)), timeout=patience_s, metadata=metadata):
                    if rng.random() < 0.2:
                        return "left", ""
                    if method == "ModelStreamInfer":
                        service_pb2.ModelStreamInferResponse.FromString(answer)
        except grpc.RpcError as error:
            code, words = error.code().name, error.details()
            is_ours = code not in ("UNKNOWN", "INTERNAL", "UNAVAILABLE") and "Unexpected" not in words
            if code == "DEADLINE_EXCEEDED" and patience_s == 30 and "no result of" not in words:
                is_ours = False
            if code == "UNKNOWN" and way == "stream_stream" and method != "ModelStreamInfer":
                is_ours = True  # of a call that is none of streams
            return f"{method[:30]}: {code}", "" if is_ours else f"{way} {method}: {code} {words} to {message[:300]!r}"
    return f"{method[:30]}: OK", ""


def _message(rng: random.Random, plan: Plan, method: str) -> bytes:
    """Return the bytes of a request, whose fields are altered, or its bytes."""
    if method not in ("ModelInfer", "ModelStreamInfer"):
        name = rng.choice(("kinds", "none", "", "\0", "x" * 50_000, "\u20ac" * 9000))
        message = service_pb2.ModelReadyRequest(name=name, version=rng.choice(("", "1", "9", "x" * 50_000)))
        return garbled(rng, message.SerializeToString()) if rng.random() < 0.3 else message.SerializeToString()
    spec = plan.tensor(plan.inputs[0])
    message = service_pb2.ModelInferRequest(model_name="kinds", id="x")
    for _ in range(rng.choice((1, 1, 1, 0, 2))):
        message.inputs.add(name=spec.name, datatype=DATATYPES[np.dtype(spec.dtype)], shape=spec.shape)
    if rng.random() < 0.7:
        message.raw_input_contents.append(bytes(rng.choice((_bytes(spec), _bytes(spec), 0, 1))))
    for _ in range(rng.choice((0, 1, 1, 2))):
        rng.choice(_ALTERATIONS)(message, rng)
    content: bytes = message.SerializeToString()
    return garbled(rng, content) if rng.random() < 0.3 else content


def _text_of(rng: random.Random) -> str:
    return rng.choice(("", "none", "objects", "x" * 50_000, "\u20ac" * 9000, "\0", "\n"))


def _number_of(rng: random.Random) -> int:
    return rng.choice((0, 1, -1, 2**31, 2**63 - 1, -(2**63)))


_ALTERATIONS: Sequence[Callable[[Any, random.Random], object]] = (
    lambda m, rng: setattr(m, "model_name", _text_of(rng)),
    lambda m, rng: setattr(m, "model_version", _text_of(rng)),
    lambda m, rng: setattr(m, "id", _text_of(rng)),
    lambda m, rng: m.inputs.add(
        name=_text_of(rng), datatype=_text_of(rng), shape=[_number_of(rng)] * rng.randint(0, 99)
    ),
    lambda m, rng: [each.shape.append(_number_of(rng)) for each in m.inputs],
    lambda m, rng: [each.ClearField(rng.choice(("name", "datatype", "shape"))) for each in m.inputs],
    lambda m, rng: [
        each.contents.int_contents.extend([_number_of(rng) % 2**31] * rng.randint(0, 9)) for each in m.inputs
    ],
    lambda m, rng: [each.contents.fp32_contents.extend([1e38, float("nan")]) for each in m.inputs],
    lambda m, rng: m.raw_input_contents.append(rng.randbytes(rng.randint(0, 9))),
    lambda m, rng: [m.outputs.add(name=_text_of(rng)) for _ in range(rng.choice((1, 2000)))],
    lambda m, rng: setattr(m.parameters["timeout"], "int64_param", _number_of(rng)),
    lambda m, rng: setattr(m.parameters["timeout"], "string_param", _text_of(rng)),
    lambda m, rng: setattr(m.parameters[_text_of(rng)], "bool_param", True),
)
_METHODS = (
    *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics"),
    *("RepositoryIndex", "ModelStreamInfer", "SystemSharedMemoryRegister", "RepositoryModelUnload", "TraceSetting"),
    *("None", "", "x" * 5000),
)
_METADATA: Sequence[Sequence[tuple[str, str | bytes]]] = (
    *((), (), (), (("x" * 3000, "y" * 3000),), (("x-bin", b"\xff\0" * 500),), (("authorization", "Bearer x"),)),
    *((("grpc-timeout", "99999999H"),), (("grpc-encoding", "none"),), (("content-type", "text/html"),)),
)


def _send(client: socket.socket, content: bytes, rng: random.Random) -> None:
    size = rng.choice((len(content) or 1, len(content) or 1, 1 + len(content) // 3, 997))
    for at in range(0, len(content), size):
        client.sendall(content[at : at + size])


def _judged(asked: bytes, answer: bytes) -> tuple[str, str]:
    if not answer:
        return "closed by the server", ""
    first = answer.split(b"\r\n", 1)[0]
    status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*", first)
    if status is None:
        return "odd", f"the answer begins with {first[:100]!r}"
    is_bad = status[1].startswith(b"5") and status[1] != b"504"  # asked for within no time
    return status[1].decode(), f"{first!r} to {asked[:300]!r}: {answer[-200:]!r}" if is_bad else ""


def _good(plan: Plan) -> dict[str, Any]:
    spec = plan.tensor(plan.inputs[0])
    tensor = {
        "name": spec.name,
        "datatype": DATATYPES[np.dtype(spec.dtype)],
        "shape": [*spec.shape],
        "data": [1] * _bytes(spec),
    }
    return {"inputs": [tensor], "outputs": [{"name": name} for name in plan.outputs], "id": "x"}


def _bytes(spec: TensorSpec) -> int:
    return prod(spec.shape)  # of int8


def _request(rng: random.Random, plan: Plan) -> bytes:
    path, body, headers = rng.choice((_json, _json, _binary, _form, _nothing))(rng, plan)
    lines = {b"Host": b"127.0.0.1", b"Content-Length": str(len(body)).encode(), **headers}
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        lines[rng.choice(_HEADERS)] = rng.choice(_ODD)
    if rng.random() < 0.1:
        path = rng.choice(_PATHS)
    method = (
        rng.choice((b"GET", b"PUT", b"HEAD", b"\0", b"post")) if rng.random() < 0.1 else b"POST" if body else b"GET"
    )
    if rng.random() < 0.1 and body:
        lines.pop(b"Content-Length")
        lines[b"Transfer-Encoding"] = b"chunked"
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    head = b"%s %s HTTP/1.1\r\n" % (method, path) + b"".join(b"%s: %s\r\n" % line for line in lines.items()) + b"\r\n"
    content = head + body
    return garbled(rng, content) if rng.random() < 0.15 else content * rng.choice((1, 1, 1, 1, 1, 2))


Drawn = tuple[bytes, bytes, dict[bytes, bytes]]


def _json(rng: random.Random, plan: Plan) -> Drawn:
    body = json.dumps(altered(rng, _good(plan))).encode()
    match rng.randrange(12):
        case 0:
            body = garbled(rng, body)
        case 1:
            return _INFER, zlib.compress(body), {b"Content-Encoding": b"deflate"}
        case 2:
            return _INFER, garbled(rng, zlib.compress(body)), {b"Content-Encoding": b"gzip"}
        case 3:
            return _INFER, zlib.compress(b"[" * 10**7), {b"Content-Encoding": b"deflate"}
        case 4:
            body = rng.choice((b"[" * 10**5, b'{"inputs":' * 10**4, b"9" * 10**5, b'{"inputs": [{"shape": [1e999]}]}'))
    return _INFER, body, {}


def _binary(rng: random.Random, plan: Plan) -> Drawn:
    document = _good(plan)
    spec = plan.tensor(plan.inputs[0])
    (tensor,) = document["inputs"]
    tensor.pop("data")
    tensor["parameters"] = {"binary_data_size": rng.choice((_bytes(spec), _bytes(spec), 0, -1, 2**63, True, 1.5))}
    document["parameters"] = rng.choice(({"binary_data_output": True}, {"timeout": 2**70}, {"timeout": True}, {}))
    text = json.dumps(document if rng.random() < 0.3 else altered(rng, document)).encode()
    length = rng.choice((len(text), len(text), len(text), 0, len(text) + 1, 10**30))
    data = rng.randbytes(rng.choice((_bytes(spec), _bytes(spec), 0, 1)))
    return _INFER, text + data, {b"Inference-Header-Content-Length": str(length).encode()}


def _form(rng: random.Random, plan: Plan) -> Drawn:
    boundary = rng.choice((b"b", b"b", b"b", b"", b'"', b"b" * 300, b"\xff"))
    image = io.BytesIO()
    Image.new(rng.choice(("RGB", "L", "P", "RGBA")), (rng.choice((1, 9, 300)), 9)).save(
        image, rng.choice(("PNG", "GIF"))
    )
    content = image.getvalue() if rng.random() < 0.3 else garbled(rng, image.getvalue())
    least = rng.choice((b"0.4", b"nan", b"inf", b"1e999", b"-1", b"x", b"", b"9" * 5000))
    parts = [
        b'Content-Disposition: form-data; name="min_confidence"\r\n\r\n' + least,
        b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + content,
        *(
            [b"Content-Disposition: form-data; name=\"image\"; filename*=utf-8''%ff\r\n\r\nx"]
            * rng.choice((0, 0, 1, 2))
        ),
        *([b"X: y\r\n\r\n" + b"z" * 2000] * rng.choice((0, 0, 0, 1, 1200))),
    ]
    rng.shuffle(parts)
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary
    body = garbled(rng, body) if rng.random() < 0.3 else body
    return b"/v1/vision/detection", body, {b"Content-Type": b"multipart/form-data; boundary=" + boundary}


def _nothing(rng: random.Random, plan: Plan) -> Drawn:
    return rng.choice((*_PATHS, _INFER)), b"", {}


_INFER = b"/v2/models/kinds/infer"

if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--record"]
    sys.exit(main(*map(int, words), record="--record" in sys.argv))
