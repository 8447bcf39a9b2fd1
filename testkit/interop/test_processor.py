"""The HTTP processor of the tests answers as it says: a fault of its own must not look like the engine's."""

import hashlib
import http.client
import json
import threading

import processor as processors
import pytest


@pytest.fixture
def ask():
    """Sends one request; gives status, headers and body."""
    server = processors.Processor()
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(method, path="/", body=None, chunked=False):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request(method, path, body=[body] if chunked else body, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()

    yield ask
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("chunked", [False, True])
def test_result(ask, chunked):
    content = bytes(300_000)
    status, _, body = ask("POST", body=content, chunked=chunked)
    assert status == 200
    assert json.loads(body) == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("content", "statuses"),
    [(b"refuse it", [422, 422]), (b"broken", [500, 500]), (b"once ", [500, 200]), (b"busy ", [429, 200])],
)
def test_faults(ask, content, statuses):
    assert [ask("POST", body=content)[0] for _ in statuses] == statuses


def test_postponed_answer(ask):
    status, headers, _ = ask("POST", body=b"later on")
    assert status == 202
    assert [ask("GET", headers["Location"])[0] for _ in range(2)] == [202, 200]
    assert ask("GET", "/answers/none")[0] == 404
