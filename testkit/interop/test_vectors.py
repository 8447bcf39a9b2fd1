"""`roundtrip job verify` and `roundtrip results open` against the vectors made with Node's crypto."""

import json
import subprocess

import peer
import pytest
from station import BINARY
from wire_vectors import JOBS, SEALED, label


def roundtrip(*arguments, text):
    return subprocess.run(
        [BINARY, *arguments], input=text.encode(), capture_output=True, timeout=30, check=False
    )


@pytest.mark.parametrize("vector", JOBS, ids=label)
def test_job_verify(vector, binary):
    record = json.dumps(vector["job"] | {"signature": vector["signature"]})
    ended = roundtrip("job", "verify", "-", text=record)
    assert ended.returncode == (0 if vector["valid"] else 1), ended.stderr.decode()


@pytest.mark.parametrize("vector", SEALED, ids=label)
def test_results_open(vector, binary, tmp_path):
    pem = tmp_path / "key.pem"
    pem.write_bytes(peer.pem_of(peer.key_of(vector["private_key"])))
    ended = roundtrip("results", "open", "--key", pem, text=vector["sealed"])
    assert ended.returncode == (0 if vector["opens"] else 1), ended.stderr.decode()
    assert ended.stdout == (vector["plain"].encode() if vector["opens"] else b"")
