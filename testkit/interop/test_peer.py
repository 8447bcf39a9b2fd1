"""The peer itself, against vectors made with Node's crypto and against moto; no engine takes part."""

import json
import threading
import time

import peer
import pytest
from wire_vectors import JOBS, SEALED, label


@pytest.mark.parametrize("vector", JOBS, ids=label)
def test_job_vector(vector):
    job = vector["job"] | {"signature": vector["signature"]}
    if not vector["valid"]:
        with pytest.raises(peer.Refused):
            peer.verify(job)
        return
    peer.verify(job)
    if "signed" in vector:
        assert peer.signed_text(job) == vector["signed"]
        assert peer.client_of(peer.key_of(vector["private_key"])) == job["client"]


@pytest.mark.parametrize("vector", SEALED, ids=label)
def test_sealed_vector(vector):
    key = peer.key_of(vector["private_key"])
    if vector["opens"]:
        assert peer.unseal(key, vector["sealed"]).decode() == vector["plain"]
    else:
        with pytest.raises(peer.Refused):
            peer.unseal(key, vector["sealed"])


@pytest.mark.parametrize("content", [b"", b"x", bytes(2_500_000)], ids=["empty", "byte", "three-chunks"])
def test_round_trip(moto_only, content):
    service = moto_only
    client, fetcher = peer.Client(service), peer.Fetcher(service)
    deadline = time.monotonic() + 30
    served = []
    thread = threading.Thread(target=lambda: served.extend(fetcher.serve(1, deadline)))
    thread.start()
    file = client.send(content)
    thread.join()
    job = service.job(client.id, file)
    assert served == [file]
    assert job["status"] == "COMPLETED"
    assert json.loads(client.open(job))["size"] == len(content)
    with pytest.raises(peer.Refused):
        peer.unseal(peer.new_key(), job["results"])


def test_second_claim_is_lost(moto_only):
    service = moto_only
    client = peer.Client(service)
    job = service.job(client.id, client.send(b"x"))
    first, second = peer.Fetcher(service), peer.Fetcher(service)
    assert first.claim(job)
    assert not second.claim(job)
    assert service.job(client.id, job["file"])["processor"] == first.id


def test_forged_job_is_not_taken(moto_only):
    service = moto_only
    client = peer.Client(service)
    forged = client.record(1) | {"client": peer.client_of(peer.new_key())}
    client.create(forged)
    good = client.send(b"x")
    assert [job["file"] for job in peer.Fetcher(service).queued()] == [good]
