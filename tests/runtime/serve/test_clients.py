"""The server against the ecosystem's own clients: tritonclient over HTTP and gRPC."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.runtime.runners import PATIENCE_S

from .conftest import Running

Client = Any
KINDS = ("http", "grpc")


@pytest.fixture(autouse=True)
def _leaves_nothing_to_the_next() -> Iterator[None]:
    """Collect what the client leaves behind: its sockets are closed only then, which would count as a fault later."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def module(kind: str) -> Any:
    return http_client if kind == "http" else grpc_client


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(server: Running, kind: str) -> Iterator[Client]:
    url = server.http if kind == "http" else server.grpc
    with module(kind).InferenceServerClient(url) as made:
        yield made


def tensors(kind: str, values: list[int], **options: Any) -> list[Any]:
    made = module(kind).InferInput("t0", [2], "INT8")
    made.set_data_from_numpy(np.array(values, np.int8), **options)
    return [made]


def test_the_server_and_its_models_are_described(client: Client, kind: str) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("adds")
    assert client.is_model_ready("other", "1")
    options = {} if kind == "http" else {"as_json": True}
    about = client.get_server_metadata(**options)
    assert about["name"] == "segsolve"
    assert "binary_tensor_data" in about["extensions"]
    shape: list[Any] = [2] if kind == "http" else ["2"]
    assert client.get_model_metadata("adds", **options) == {
        "name": "adds",
        "versions": ["1"],
        "platform": "segsolve_plan",
        "inputs": [{"name": "t0", "datatype": "INT8", "shape": shape}],
        "outputs": [{"name": "out", "datatype": "INT8", "shape": shape}],
    }
    config = client.get_model_config("adds", **options)
    config = config if kind == "http" else config["config"]
    assert config["input"] == [{"name": "t0", "data_type": "TYPE_INT8", "dims": shape}]
    index = client.get_model_repository_index(**options)
    names = [model["name"] for model in (index if kind == "http" else index["models"])]
    assert names == ["adds", "other"]


def test_a_frame_comes_back_with_its_outputs(client: Client, kind: str) -> None:
    result = client.infer("adds", tensors(kind, [1, 2]), request_id="seven")
    assert result.as_numpy("out").tolist() == [4, 5]
    answer = result.get_response() if kind == "http" else result.get_response(as_json=True)
    assert answer["id"] == "seven"
    assert answer["model_version"] == "1"


def test_tensors_as_json_and_outputs_that_are_asked_for(server: Running) -> None:
    with http_client.InferenceServerClient(server.http) as client:
        for sends_bytes in (True, False):
            for takes_bytes in (True, False):
                wanted = [http_client.InferRequestedOutput("out", binary_data=takes_bytes)]
                given = tensors("http", [3, -4], binary_data=sends_bytes)
                result = client.infer("adds", given, outputs=wanted)
                assert result.as_numpy("out").tolist() == [6, -1]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_may_be_compressed(server: Running, algorithm: str) -> None:
    with http_client.InferenceServerClient(server.http) as client:
        result = client.infer("adds", tensors("http", [1, 2]), request_compression_algorithm=algorithm)
        assert result.as_numpy("out").tolist() == [4, 5]


def test_many_at_once_have_each_their_own(server: Running, kind: str) -> None:
    url = server.http if kind == "http" else server.grpc
    more = {"concurrency": 8} if kind == "http" else {}
    with module(kind).InferenceServerClient(url, **more) as client, ThreadPoolExecutor(8) as pool:

        def one(n: int) -> list[int]:
            found: list[int] = client.infer("adds", tensors(kind, [n % 99, n // 99])).as_numpy("out").tolist()
            return found

        if kind == "http":  # its client is for one thread
            waiting = [client.async_infer("adds", tensors(kind, [n % 99, n // 99])) for n in range(300)]
            results = [each.get_result().as_numpy("out").tolist() for each in waiting]
        else:
            results = list(pool.map(one, range(300)))
    assert results == [[n % 99 + 3, n // 99 + 3] for n in range(300)]


def test_streams_of_grpc(server: Running) -> None:
    results: list[Any] = []
    with grpc_client.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: results.append(error or result.as_numpy("out").tolist()))
        for n in range(5):
            client.async_stream_infer("adds" if n != 3 else "none", tensors("grpc", [n, n]))
        client.stop_stream()
    assert [r for r in results if isinstance(r, list)] == [[n + 3, n + 3] for n in (0, 1, 2, 4)]
    assert "there is no model 'none'" in str(results[3])


@pytest.mark.parametrize(
    ("model", "version", "name", "shape", "datatype", "message"),
    [
        ("none", "", "t0", [2], "INT8", "there is no model 'none'; known are: adds, other"),
        ("adds", "2", "t0", [2], "INT8", "the model 'adds' has no version '2', only 1"),
        ("adds", "", "t1", [2], "INT8", "the model has no input 't1'; it takes ['t0']"),
        ("adds", "", "t0", [2], "UINT8", "the input 't0' is UINT8 of shape [2], but the model takes INT8 of shape [2]"),
        ("adds", "", "t0", [3], "INT8", "the input 't0' is INT8 of shape [3], but the model takes INT8 of shape [2]"),
    ],
)
def test_what_does_not_fit_is_told(
    client: Client, kind: str, model: str, version: str, name: str, shape: list[int], datatype: str, message: str
) -> None:
    given = module(kind).InferInput(name, shape, datatype)
    given.set_data_from_numpy(np.zeros(shape, datatype.lower()))
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [given], model_version=version)
    assert message in caught.value.message()
    code = {"http": ("404", "400"), "grpc": ("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT")}[kind]
    assert caught.value.status() == code["there is no model" not in message and "no version" not in message]


def test_what_is_no_message_is_told(server: Running) -> None:
    """Also within a stream, which goes on; and what the protocol has besides is not there."""
    service, given = "/inference.GRPCInferenceService", service_pb2.ModelInferRequest(model_name="adds")
    given.inputs.add(name="t0", datatype="INT8", shape=[2])
    given.raw_input_contents.append(bytes([1, 2]))
    with grpc.insecure_channel(server.grpc) as channel:
        messages = iter([b"\xff", given.SerializeToString()])
        answers = channel.stream_stream(f"{service}/ModelStreamInfer")(messages, timeout=PATIENCE_S)
        first, second = map(service_pb2.ModelStreamInferResponse.FromString, answers)
        assert first.error_message == "the request is no message of the protocol"
        assert second.infer_response.raw_output_contents[0] == bytes([4, 5])
        given.parameters["timeout"].int64_param = -1
        for method, content, code, words in (
            ("ModelInfer", b"\xff", "INVALID_ARGUMENT", "is no message of the protocol"),
            ("ModelInfer", given.SerializeToString(), "INVALID_ARGUMENT", "the parameter timeout is -1"),
            ("TraceSetting", b"", "UNIMPLEMENTED", "there is no TraceSetting here"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"{service}/{method}")(content, timeout=PATIENCE_S)
            assert caught.value.code().name == code
            assert words in caught.value.details()


def test_what_is_told_is_short_enough_for_metadata(server: Running) -> None:
    with (
        grpc_client.InferenceServerClient(server.grpc) as client,
        pytest.raises(InferenceServerException, match="there is no model '€€€"),
    ):
        client.get_model_metadata("€" * 9000)


def test_an_input_that_is_missing_is_told(client: Client, kind: str) -> None:
    with pytest.raises(InferenceServerException, match="the frame lacks the input 't0'"):
        client.infer("adds", [])


def test_statistics_count_what_was_asked(client: Client, kind: str) -> None:
    options = {} if kind == "http" else {"as_json": True}

    def count() -> int:
        (stats,) = client.get_inference_statistics("other", **options)["model_stats"]
        return int(stats["inference_stats"]["success"].get("count", 0))

    before = count()
    client.infer("other", tensors(kind, [1, 2]))
    assert count() == before + 1
