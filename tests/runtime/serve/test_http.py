"""What clients do besides asking well: too much, too big, too late, without a token, going away."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from segsolve_runtime import FaultPolicy
from segsolve_runtime.errors import DeviceLostError, HardwareError
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.serve.server import ServerOptions
from tests.runtime.runners import PATIENCE_S, wait_for

from .conftest import Running, running, served

Answer: TypeAlias = tuple[int, Any, Mapping[str, str]]
BODY = {"inputs": [{"name": "t0", "datatype": "INT8", "shape": [2], "data": [1, 2]}]}


def ask(
    server: Running, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return status, document and headers of an answer."""
    connection = http.client.HTTPConnection(server.http, timeout=PATIENCE_S)
    connection.request(method, path, body, dict(headers or {}))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = "json" in answer.headers.get("content-type", "")
    return answer.status, json.loads(content) if is_json else content, dict(answer.headers.items())


def infer(
    server: Running, document: Any = BODY, model: str = "adds", **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    return ask(server, "POST", f"/v2/models/{model}/infer", json.dumps(document).encode(), headers)


def test_numbers_as_json(server: Running) -> None:
    status, answer, _ = infer(server, BODY | {"id": "a"})
    assert status == 200
    assert answer == {
        "model_name": "adds",
        "model_version": "1",
        "outputs": [{"name": "out", "datatype": "INT8", "shape": [2], "data": [4, 5]}],
        "id": "a",
    }
    nested = {"inputs": [{"name": "t0", "datatype": "INT8", "shape": [2], "data": [[1], [2]]}]}
    assert infer(server, nested)[1]["outputs"] == answer["outputs"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the request is no JSON object"),
        ({"inputs": 3}, "the request's inputs are no list of objects"),
        ({"inputs": [{"name": ["t0"]}]}, "the model has no input ['t0']"),
        ({"inputs": [BODY["inputs"][0] | {"data": [1, 300]}]}, "has a number that INT8 cannot hold"),
        ({"inputs": [BODY["inputs"][0] | {"data": [1, 2.5]}]}, "are not all numbers of INT8"),
        ({"inputs": [BODY["inputs"][0] | {"data": [1, "x"]}]}, "are not all numbers of INT8"),
        ({"inputs": [BODY["inputs"][0] | {"data": [[1], [2, 3]]}]}, "are lists of different lengths"),
        ({"inputs": [BODY["inputs"][0] | {"data": [1]}]}, "the input 't0' has 1 numbers; shape [2] has 2"),
        ({"inputs": [BODY["inputs"][0] | {"shape": "2"}]}, "has the shape '2'; it is a list of integers"),
        ({"inputs": [BODY["inputs"][0] | {"parameters": {"binary_data_size": 9}}]}, "says it has 9 bytes"),
        (BODY | {"outputs": [{"name": "x"}]}, "the model has no output 'x'; it makes ['out']"),
        (BODY | {"parameters": {"timeout": "soon"}}, "the parameter timeout is 'soon'"),
        (BODY | {"parameters": 1}, "the request has parameters that are no object"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(server: Running, document: Any, message: str) -> None:
    status, answer, _ = infer(server, document)
    assert (status, set(answer)) == (400, {"error"})
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"\xff\x00", {}, 400, "the request is no JSON"),
        (b"[" * 100_000, {}, 400, "the request is no JSON"),
        (b"{}xx", {"Inference-Header-Content-Length": "2"}, 400, "has 2 bytes that belong to no input"),
        (b"{}", {"Inference-Header-Content-Length": "9"}, 400, "is 9, but the body has 2 bytes"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "is '-1'; it is a number of bytes"),
        (b"{}", {"Inference-Header-Content-Length": "9" * 5000}, 400, "it is a number of bytes"),
        (b'{"parameters": {"timeout": 1%s}}' % (b"0" * 400), {}, 400, "it is a number of microseconds"),
        (b"{}", {"Content-Encoding": "br"}, 415, "the content encoding 'br' is not known"),
        (b"{}", {"Content-Encoding": "gzip"}, 400, "cannot be decompressed"),
    ],
)
def test_a_body_that_makes_no_sense_is_told_why(
    server: Running, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    found, answer, _ = ask(server, "POST", "/v2/models/adds/infer", body, headers)
    assert found == status
    assert message in answer["error"]


def test_unknown_paths_and_methods(server: Running) -> None:
    assert ask(server, "GET", "/v3")[0] == 404
    assert ask(server, "GET", "/v2/models/adds/infer")[0] == 405
    assert ask(server, "GET", "/v2/models/none/ready")[0] == 404
    assert ask(server, "GET", "/v2/models/stats")[1]["model_stats"][0]["name"] == "adds"
    assert ask(server, "POST", "/v1/vision/detection")[0] == 404


def test_what_is_too_big_is_refused_also_when_it_is_compressed() -> None:
    import gzip

    with running(served("adds"), options=ServerOptions(port=0, grpc_port=0, max_body=1_000, grace_s=5)) as server:
        assert infer(server)[0] == 200
        for body, headers in ((b"x" * 2_000, {}), (gzip.compress(b"x" * 100_000), {"Content-Encoding": "gzip"})):
            status, answer, _ = ask(server, "POST", "/v2/models/adds/infer", body, headers)
            assert status == 413
            assert "more than 1000 bytes" in answer["error"]


def test_clients_that_go_silent_are_given_up() -> None:
    """One that says nothing is cut off, one that begins to ask is told; the others are served."""
    head = b"POST /v2/models/adds/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
    with running(served("adds"), options=ServerOptions(port=0, grace_s=5, idle_s=0.2)) as server:
        for begun, answer in ((b"", b""), (b"GET /v2 HTT", b""), (head, b"HTTP/1.1 408 ")):
            with socket.create_connection(("127.0.0.1", server.server.ports["http"]), PATIENCE_S) as client:
                client.sendall(begun)
                assert client.recv(65536).startswith(answer)
        assert infer(server)[0] == 200


def test_a_full_queue_says_when_to_come_again() -> None:
    may_go_on = threading.Event()
    model = served("adds", lambda number: may_go_on.wait(PATIENCE_S), most_waiting=3)
    with running(model) as server:
        threads = [threading.Thread(target=infer, args=(server,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_for(lambda: model.under_way == 3)
        status, answer, headers = infer(server)
        assert (status, headers["retry-after"]) == (429, "1")
        assert answer == {"error": "3 requests for 'adds' are under way"}
        with pytest.raises(InferenceServerException, match="3 requests for 'adds' are under way") as caught:
            call(server)
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        may_go_on.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert infer(server)[0] == 200


def test_deadlines() -> None:
    may_go_on = threading.Event()
    with running(served("adds", lambda number: may_go_on.wait(PATIENCE_S))) as server:
        status, answer, _ = infer(server, BODY | {"parameters": {"timeout": 50_000}})
        assert (status, answer) == (504, {"error": "no result of 'adds' within 0.05 s"})
        with pytest.raises(InferenceServerException) as caught:
            call(server, client_timeout=0.1)
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        may_go_on.set()
        assert infer(server)[0] == 200


def test_a_client_that_goes_takes_its_frame_back() -> None:
    may_go_on, begun = threading.Event(), list[int]()

    def hold(number: int) -> None:
        begun.append(number)
        may_go_on.wait(PATIENCE_S)

    model = served("adds", hold, lanes=(Lane(stage_ns=(1, 1), replicas=(1, 1)),))
    with running(model) as server:
        connections = []
        for _ in range(30):
            connection = http.client.HTTPConnection(server.http, timeout=60)
            connection.request("POST", "/v2/models/adds/infer", json.dumps(BODY))
            connections.append(connection)
        wait_for(lambda: model.under_way == 30)
        for connection in connections:
            connection.close()
        wait_for(lambda: model.under_way == 0)
        may_go_on.set()
        assert infer(server)[0] == 200
        assert len(begun) < 12  # what had begun, and the last; the others were never run
        assert model.tally.by_status[499] == 30


def test_a_frame_that_fails_fails_alone() -> None:
    def fail(number: int) -> None:
        if number % 3 == 0:
            raise OSError("flaky")

    with running(served("adds", fail, faults=FaultPolicy(on_fault="skip"))) as server:
        statuses = [infer(server)[0] for _ in range(9)]
        assert statuses == [500, 200, 200] * 3
        assert "stage 1 failed on inference 9: OSError: flaky" in infer(server)[1]["error"]
        assert ask(server, "GET", "/v2/health/ready")[0] == 200


def test_a_model_without_devices_is_not_ready() -> None:
    def lose(number: int) -> None:
        raise DeviceLostError("unplugged")

    with running(served("adds", lose), served("other")) as server:
        assert infer(server)[:2] == (503, {"error": "stage 1 failed on inference 0: DeviceLostError: unplugged"})
        status, answer, _ = infer(server)
        assert (status, answer) == (503, {"error": "the model 'adds' is failed: stage 1: unplugged"})
        assert ask(server, "GET", "/v2/health/live")[0] == 200
        assert ask(server, "GET", "/v2/health/ready")[0] == 503
        assert ask(server, "GET", "/v2/models/adds/ready")[0] == 503
        assert infer(server, model="other")[0] == 200
        assert ask(server, "POST", "/v2/repository/index")[1][0]["reason"] == "stage 1: unplugged"


def test_a_device_that_is_away_for_too_long_is_an_outage_and_no_fault_of_a_request() -> None:
    away = threading.Event()
    away.set()

    def lose(number: int) -> None:
        if away.is_set():
            raise DeviceLostError("unplugged")

    def reopen() -> None:
        if away.is_set():
            raise HardwareError("still unplugged")

    model = served("adds", lose, faults=FaultPolicy(on_fault="retry", rejoin_s=0.1), reopen=reopen)
    with running(model) as server:
        status, answer, _ = infer(server)
        assert status == 503 and "no pipeline was whole for 0.1 s: stage 1: unplugged" in answer["error"]
        assert infer(server)[0] == 503
        away.clear()
        wait_for(lambda: model.is_ready)
        assert infer(server)[0] == 200
        assert 500 not in model.tally.by_status


def test_only_who_knows_the_token_is_let_in() -> None:
    with running(served("adds"), options=ServerOptions(port=0, grpc_port=0, token="open-sesame", grace_s=5)) as server:
        assert infer(server)[0] == 401
        assert ask(server, "GET", "/metrics")[0] == 401
        assert infer(server, Authorization="Bearer wrong")[0] == 401
        assert infer(server, Authorization="Bearer open-sesame")[0] == 200
        assert ask(server, "GET", "/v2/health/ready")[0] == 200
        with pytest.raises(InferenceServerException) as caught:
            call(server)
        assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        assert call(server, headers={"authorization": "Bearer open-sesame"}) == [4, 5]


def test_what_is_under_way_is_answered_before_the_end() -> None:
    may_go_on = threading.Event()
    model = served("adds", lambda number: may_go_on.wait(PATIENCE_S))
    with running(model) as server:
        found: list[int] = []
        asking = threading.Thread(target=lambda: found.append(infer(server)[0]))
        asking.start()
        wait_for(lambda: model.under_way == 1)
        server.end()
        wait_for(lambda: '"ending"' in server.log.getvalue())
        may_go_on.set()
        asking.join(PATIENCE_S)
        server.thread.join(PATIENCE_S)
        assert found == [200]
        with pytest.raises(OSError):
            infer(server)
    events = [json.loads(line) for line in server.log.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["serving", "ending", "request", "ended"]
    assert (events[1]["under_way"], events[2]["status"], events[2]["path"]) == (1, 200, "/v2/models/adds/infer")


def test_an_address_in_use_is_told() -> None:
    from segsolve_runtime import BackendError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        model = served("adds")
        try:
            import asyncio
            import io

            from segsolve_runtime.serve.log import Log
            from segsolve_runtime.serve.models import Models
            from segsolve_runtime.serve.server import Server

            for options in (ServerOptions(port=port), ServerOptions(port=0, grpc_port=port)):

                async def run(options: ServerOptions = options) -> None:
                    await Server(Models({"adds": model}), options, Log(io.StringIO())).run()

                with pytest.raises(BackendError, match="cannot be served"):
                    asyncio.run(run())
        finally:
            model.pipeline.close()


def test_metrics_are_what_prometheus_reads(server: Running) -> None:
    assert infer(server)[0] == 200
    assert infer(server, {})[0] == 400
    status, content, headers = ask(server, "GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(content.decode())}
    assert families["segsolve_latency_seconds"].type == "summary"
    assert families["segsolve_request_seconds"].type == "histogram"
    requests = {(s.labels["model"], s.labels["status"]): s.value for s in families["segsolve_requests"].samples}
    assert requests["adds", "200"] >= 1
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=content, capture_output=True, check=False, timeout=120
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def call(server: Running, **options: Any) -> list[int]:
    """Infer over gRPC."""
    given = grpc_client.InferInput("t0", [2], "INT8")
    given.set_data_from_numpy(np.array([1, 2], np.int8))
    with grpc_client.InferenceServerClient(server.grpc) as client:
        found: list[int] = client.infer("adds", [given], **options).as_numpy("out").tolist()
        return found
