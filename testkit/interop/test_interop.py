"""The engine beside programs that know the wire format only, on the embedded stack and on moto."""

import hashlib
import json
import random
import threading
import time
import uuid
from collections import Counter

import peer
import processor as processors
import pytest
import station as stations
import zstandard
from station import BINARY, WAIT_SECONDS

MARKER = b"interop-marker-7c1f"
FINGERPRINT = "analyse.sink.processor.builtin=fingerprint"
MIB = 1 << 20


def noise(size, seed=0):
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def folders(station):
    """An inbox and a results folder."""
    inbox, results = station.folder / "in", station.folder / "out"
    inbox.mkdir()
    results.mkdir()
    return inbox, results


def client_settings(inbox, results):
    return (
        f"upload.source.directory.path={inbox}",
        f"receive.sink.directory.path={results}",
        "upload.chunker.fixed.size=1 MiB",
    )


def results_in(folder):
    """The files of a results folder by relative path; files still being written have a hidden name."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path for path in paths}


def finished(service, client, file):
    """The job, once it is finished."""
    job = service.job(client, file)
    return job if job and job["status"] in ("COMPLETED", "ERROR") else None


def attempts(job):
    """How each claim of a job ended."""
    return [attempt["what"] for attempt in job.get("history", [])]


def await_clean(station, service, watcher, prefix=""):
    """Waits until the bucket holds nothing."""
    station.wait("an empty bucket", lambda: not service.keys(prefix), of=[watcher])
    assert service.keys(prefix) == []


def refusal(service, job, *processes):
    """Why a job was refused: from its record, or from a log line that names it."""
    record = service.job(job["client"], job["file"])
    assert record is None or "results" not in record
    if record and record["status"] == "ERROR":
        assert record["error"], "an error without a text"
        return record["error"]
    for process in processes:
        for line in process.logged().splitlines():
            if job["file"] in line and "refuse" in line.lower():
                return line
    return None


# Both sides foreign: our table and bucket alone.


def test_foreign_client_and_fetcher_on_our_table(service):
    client, fetcher = peer.Client(service), peer.Fetcher(service)
    content = noise(2 * MIB)
    file = client.send(content)
    assert fetcher.serve(1, time.monotonic() + WAIT_SECONDS) == [file]
    assert json.loads(client.open(service.job(client.id, file)))["sha256"] == sha256(content)


# A client that knows the wire format only.


def test_foreign_client_gets_results(station, service):
    files = {
        "empty": (b"", MIB, True),
        "byte": (b"x", MIB, True),
        "three-chunks": (noise(2 * MIB + 4321), MIB, True),
        "frames-without-size": (MARKER + bytes(3 * MIB), MIB, False),
        "one-chunk": (noise(100_000), MIB, True),
    }
    watcher = station.role("watcher")
    fetcher = station.role("fetcher", FINGERPRINT)
    client = peer.Client(service)
    sent = {name: client.send(*file) for name, file in files.items()}
    for name, file in sent.items():
        job = station.wait(
            f"job {name} is finished", lambda: finished(service, client.id, file), of=[fetcher, watcher]
        )
        assert (job["status"], job.get("error", "")) == ("COMPLETED", "")
        assert job["processor"].startswith("processor-")
        assert job["assigned"] <= job["downloaded"] <= job["processed"]
        result = json.loads(client.open(job))
        content = files[name][0]
        assert (result["size"], result["sha256"]) == (len(content), sha256(content))
        with pytest.raises(peer.Refused):
            peer.unseal(peer.new_key(), job["results"])
    await_clean(station, service, watcher)


def test_foreign_client_that_uploads_slowly(station, service):
    watcher = station.role("watcher")
    fetcher = station.role("fetcher", FINGERPRINT)
    client = peer.Client(service)
    pieces = [noise(50_000, seed) for seed in range(3)]
    job = client.record(len(pieces))
    client.create(job)
    codec = zstandard.ZstdCompressor()
    station.wait("a claim", lambda: "processor" in service.job(client.id, job["file"]), of=[fetcher])
    for index, piece in enumerate(pieces):
        # Each piece appears only after the fetcher has had time to miss it.
        time.sleep(0.5)
        service.put(f"{client.id}/{job['file']}/{index}", codec.compress(piece))
    done = station.wait(
        "the job is finished", lambda: finished(service, client.id, job["file"]), of=[fetcher]
    )
    assert json.loads(client.open(done))["sha256"] == sha256(b"".join(pieces))
    await_clean(station, service, watcher)


# A fetcher that knows the wire format only.


def test_foreign_fetcher_serves_our_client(station, service):
    inbox, results = folders(station)
    files = {
        "plain.dat": MARKER + noise(3 * MIB),
        "empty.dat": b"",
        "byte.dat": b"x",
        "sub/Zelle µ 1.dat": b"text",
    }
    write(inbox, files)
    watcher = station.role("watcher")
    fetcher = peer.Fetcher(service)
    served = []
    deadline = time.monotonic() + WAIT_SECONDS
    thread = threading.Thread(target=lambda: served.extend(fetcher.serve(len(files), deadline)), daemon=True)
    thread.start()
    client = station.role("client", *client_settings(inbox, results), once=True)
    assert station.finish(client) == 0
    thread.join()
    found = results_in(results)
    assert sorted(found) == sorted(f"{name}.json" for name in files)
    for name, content in files.items():
        result = json.loads(found[f"{name}.json"].read_text())
        assert result == {"size": len(content), "sha256": sha256(content)}
    assert all(job["processor"] == fetcher.id for job in service.jobs())
    await_clean(station, service, watcher)

    again = station.role("client", *client_settings(inbox, results), name="client", once=True)
    assert station.finish(again) == 0
    assert len(service.jobs()) == len(files), "an unchanged file was sent twice"


# Our client, fetcher and watcher as three processes.


def three(station, inbox, results, *processor):
    """The three roles, running."""
    watcher = station.role("watcher")
    fetcher = station.role("fetcher", *processor)
    client = station.role("client", *client_settings(inbox, results))
    return client, fetcher, watcher


def assert_nothing_listens(processes):
    for process in processes:
        assert process.listeners() == [], f"{process.name} accepts connections"


def assert_nothing_left(state):
    """No part of a file is left in a state folder."""
    for path in state.rglob("*"):
        assert not path.is_file() or MARKER not in path.read_bytes(), f"{path} holds a file's bytes"


def test_three_processes_over_http(station, service, lab):
    inbox, results = folders(station)
    good = {
        "scan.tif": b"II*\x00" + MARKER + noise(2 * MIB),
        "plate.png": b"\x89PNG\r\n\x1a\n" + MARKER + noise(300_000),
        "empty.raw": b"",
        "byte.raw": b"x",
        "sub folder/Größe µm 🔬.tif": MARKER + b"named",
        "line\nbreak.raw": MARKER + b"break",
        "once.raw": b"once " + MARKER,
        "busy.raw": b"busy " + MARKER,
    }
    other = {
        "refused.raw": b"refuse " + MARKER,
        "broken.raw": b"broken " + MARKER,
        "postponed.raw": b"later " + MARKER,
        "large.raw": b"large " + MARKER,
    }
    write(inbox, good | other)
    roles = three(
        station, inbox, results, f"analyse.sink.processor.url={lab.url}", "analyse.retry.attempts-max=3"
    )
    client, fetcher, watcher = roles
    stack = next(process for process in station.processes if process.name in ("stack", "moto"))
    count = len(good | other)
    found = station.wait(
        f"{count} results", lambda: len(seen := results_in(results)) >= count and seen, of=roles
    )
    assert stack.listeners(), "the check for listeners finds none where there is one"
    assert_nothing_listens(roles)

    for name, content in good.items():
        result = json.loads(found[f"{name}.json"].read_text())
        assert (result["size"], result["sha256"]) == (len(content), sha256(content)), name
    assert processors.REFUSAL in found["refused.raw.error.txt"].read_text()
    assert "500" in found["broken.raw.error.txt"].read_text()
    postponed = json.loads(found["postponed.raw.json"].read_text())
    assert postponed["sha256"] == sha256(other["postponed.raw"])
    assert len(found["large.raw.txt"].read_bytes()) == processors.LARGE_BYTES
    assert sorted(found) == sorted(
        [f"{name}.json" for name in good]
        + ["refused.raw.error.txt", "broken.raw.error.txt", "postponed.raw.json", "large.raw.txt"]
    )

    times = {name: lab.seen.count(sha256(content)) for name, content in (good | other).items()}
    assert times == dict.fromkeys(good | other, 1) | {"once.raw": 2, "busy.raw": 2, "broken.raw": 3}
    jobs = service.jobs()
    states = sorted(job["status"] for job in jobs)
    assert states == ["COMPLETED"] * (count - 2) + ["ERROR"] * 2
    for job in jobs:
        peer.verify(job)
    await_clean(station, service, watcher)
    for process in roles:
        process.end()
    assert_nothing_left(station.folder / "state-fetcher")


def script(station, *lines):
    """A program that a command processor runs."""
    program = station.folder / "analyse.sh"
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o755)
    return program


def test_three_processes_with_a_command(station, service):
    inbox, results = folders(station)
    write(inbox, {"good.raw": MARKER + noise(2 * MIB), "bad.raw": b"refuse " + MARKER, "empty.raw": b""})
    program = script(
        station,
        'if head -c 6 "$1" | grep -q refuse; then echo "no channel" >&2; exit 3; fi',
        'sha256sum < "$1"',
    )
    command = json.dumps([str(program), "{file}"])
    roles = three(station, inbox, results, f"analyse.sink.processor.command={command}")
    found = station.wait("three results", lambda: len(seen := results_in(results)) >= 3 and seen, of=roles)
    assert_nothing_listens(roles)
    assert sorted(found) == ["bad.raw.error.txt", "empty.raw.txt", "good.raw.txt"]
    assert found["good.raw.txt"].read_text().split()[0] == sha256((inbox / "good.raw").read_bytes())
    assert found["empty.raw.txt"].read_text().split()[0] == sha256(b"")
    assert "no channel" in found["bad.raw.error.txt"].read_text()
    await_clean(station, service, roles[2])
    for process in roles:
        process.end()
    assert_nothing_left(station.folder / "state-fetcher")


def test_command_reads_standard_input(station, service):
    inbox, results = folders(station)
    write(inbox, {"good.raw": MARKER + noise(2 * MIB)})
    roles = three(station, inbox, results, 'analyse.sink.processor.command=["sha256sum"]')
    found = station.wait("a result", lambda: results_in(results), of=roles)
    assert found["good.raw.txt"].read_text().split()[0] == sha256((inbox / "good.raw").read_bytes())


def test_two_fetchers_share_the_jobs(station, service, lab):
    inbox, results = folders(station)
    # moto takes its time for each request: fewer files tell as much.
    count = 50 if any(process.name == "moto" for process in station.processes) else 200
    files = {f"{number}.raw": f"file {number}".encode() for number in range(count)}
    write(inbox, files)
    url = f"analyse.sink.processor.url={lab.url}"
    fetchers = [station.role("fetcher", url, name=f"fetcher-{number}") for number in (1, 2)]
    client = station.role("client", *client_settings(inbox, results), once=True)
    assert station.finish(client, 2 * WAIT_SECONDS) == 0
    assert len(results_in(results)) == len(files)
    assert sorted(lab.seen) == sorted(map(sha256, files.values())), "a file was analysed twice or not at all"
    assert all(fetcher.code is None for fetcher in fetchers)
    jobs = service.jobs()
    assert all(attempts(job) == ["complete"] for job in jobs)
    # A fetcher logs a claim once it is won; each job names the one who won it.
    won = [fetcher.logged().count(" claim file=") for fetcher in fetchers]
    assert sum(won) == len(jobs) == len(files)
    assert sorted(won) == sorted(Counter(job["processor"] for job in jobs).values())
    assert all(won), "one fetcher did all the work"


# Records and chunks that do not hold.


def upload_without_fetcher(station, service, content):
    """Lets our client upload a file and end without its result; gives the job."""
    inbox, results = folders(station)
    write(inbox, {"target.raw": content})
    client = station.role("client", *client_settings(inbox, results))
    manifests = station.wait(
        "the manifest is uploaded",
        lambda: [key for key in service.keys() if key.endswith("/manifest")],
        of=[client],
    )
    owner, file, _ = manifests[0].split("/")
    return service.job(owner, file), client, results


def good_job(station, service, client, *processes):
    """Sends a job that is in order and waits for its result."""
    content = noise(10_000, seed=99)
    file = client.send(content)
    job = station.wait("the good job is done", lambda: finished(service, client.id, file), of=processes)
    assert job["status"] == "COMPLETED", job.get("error")
    assert json.loads(client.open(job))["sha256"] == sha256(content)


def forged_records(client, victim):
    """Records that do not hold, each for one reason."""
    return {
        "signed by another key": client.record(1) | {"client": victim.id},
        "fewer chunks than signed": client.record(2) | {"chunks": 1},
        "no signature": client.record(1) | {"signature": ""},
        "a file that leaves its prefix": client.record(1, file=f"../../{uuid.uuid4()}"),
        "a file of another client": client.record(1, file=f"../{victim.id}/file-{uuid.uuid4()}"),
    }


def test_forged_records_are_refused(station, service, lab):
    watcher = station.role("watcher")
    fetcher = station.role("fetcher", f"analyse.sink.processor.url={lab.url}")
    client, victim = peer.Client(service), peer.Client(service)
    outside = {"other/0": b"outside", f"{victim.id}/file-{uuid.uuid4()}/0": b"secret"}
    for key, body in outside.items():
        service.put(key, body)

    jobs = forged_records(client, victim)
    # With a lane, a record does not wait for the watcher's admission: the fetcher is the only judge.
    for why, job in forged_records(client, victim).items():
        jobs[f"{why}, with a lane"] = job | {"lane": "ready#0", "due": peer.now()}
    for why, job in jobs.items():
        service.table.put_item(Item=job)
        if not job["file"].startswith(".."):
            service.put(f"{job['client']}/{job['file']}/0", zstandard.compress(b"forged " + why.encode()))
    good_job(station, service, client, fetcher, watcher)
    for why, job in jobs.items():
        station.wait(
            f"a reason to refuse {why}",
            lambda: refusal(service, job, fetcher, watcher),
            of=[fetcher, watcher],
        )
        assert sha256(b"forged " + why.encode()) not in lab.seen, f"{why} was analysed"
    good_job(station, service, client, fetcher, watcher)
    assert {key: service.read(key) for key in outside} == outside, (
        "an object outside a job's prefix was touched"
    )
    assert lab.seen == [sha256(noise(10_000, seed=99))] * 2


def test_job_of_another_bucket_is_left_alone(station, service, lab):
    watcher = station.role("watcher")
    fetcher = station.role("fetcher", f"analyse.sink.processor.url={lab.url}")
    client = peer.Client(service)
    job = client.record(1, bucket="another-bucket") | {"lane": "ready#0", "due": peer.now()}
    service.table.put_item(Item=job)
    service.put(f"{job['client']}/{job['file']}/0", zstandard.compress(b"not ours"))
    good_job(station, service, client, fetcher, watcher)
    assert service.job(job["client"], job["file"])["status"] == "QUEUED"
    assert sha256(b"not ours") not in lab.seen


@pytest.mark.parametrize("fault", ["replaced", "truncated", "noise", "longer"])
def test_altered_chunk_is_refused(station, service, fault):
    job, client, results = upload_without_fetcher(station, service, noise(3 * MIB))
    prefix = f"{job['client']}/{job['file']}"
    chunk = service.read(f"{prefix}/1")
    altered = {
        "replaced": service.read(f"{prefix}/0"),
        "truncated": chunk[: len(chunk) // 2],
        "noise": noise(len(chunk), seed=5),
        "longer": zstandard.compress(bytes(2 * MIB)),
    }
    service.put(f"{prefix}/1", altered[fault])
    fetcher = station.role("fetcher", FINGERPRINT, "analyse.retry.attempts-max=2")
    watcher = station.role("watcher")
    station.wait("a refusal", lambda: refusal(service, job, fetcher, watcher), of=[fetcher, watcher, client])
    found = station.wait("an error file", lambda: results_in(results), of=[client])
    assert list(found) == ["target.raw.error.txt"]
    assert "chunk 1" in found["target.raw.error.txt"].read_text()
    good_job(station, service, peer.Client(service), fetcher, watcher)
    await_clean(station, service, watcher)


def bomb(size):
    """One zstd frame of zeros."""
    codec = zstandard.ZstdCompressor(level=1).compressobj()
    block = bytes(16 * MIB)
    return b"".join(codec.compress(block) for _ in range(size // len(block))) + codec.flush()


def test_foreign_bomb_is_refused(station, service):
    fetcher = station.role("fetcher", FINGERPRINT, "analyse.retry.attempts-max=2")
    watcher = station.role("watcher")
    client = peer.Client(service)
    bombs = []
    for body in (bomb(2 << 30), zstandard.compress(b"whole")[:-3]):
        job = client.record(1)
        client.create(job)
        service.put(f"{client.id}/{job['file']}/0", body)
        bombs.append(job)
    good_job(station, service, client, fetcher, watcher)
    for job in bombs:
        station.wait("a refusal", lambda: refusal(service, job, fetcher, watcher), of=[fetcher, watcher])
    assert fetcher.memory_peak() < 300 * MIB
    fetcher.end()
    left = [path for path in (station.folder / "state-fetcher").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 16 * MIB, "the bomb is on the fetcher's disk"


# Everything in one process, killed at any time.


def test_local_survives_being_killed(station, binary):
    """kill -9 of everything at once, services included, five times while 50 files are under way."""
    inbox, results = folders(station)
    files = {f"{number:02}.raw": MARKER + noise(number**4, seed=number) for number in range(50)}
    write(inbox, files)
    state = station.folder / "state-local"
    command = [
        *(binary, "local", "--inbox", inbox, "--results", results, "--state", state),
        *("--command", script(station, "sha256sum", "sleep 0.1")),
        *("--set", "analyse.claim.lease=2s", "--set", "analyse.claim.heartbeat=500ms"),
        *("--set", "upload.source.directory.settle=100ms", "--set", "upload.chunker.fixed.size=1 MiB"),
    ]
    # The first dies while it uploads its first files, the others when some more results are there.
    for kill, enough in enumerate([0, 4, 11, 18, 25]):
        local = station.start(f"local-{kill}", *command)
        if enough == 0:
            station.wait("an upload", lambda: "uploading" in local.logged(), of=[local])
        else:
            station.wait(f"{enough} results", lambda: len(results_in(results)) >= enough, of=[local])
        assert local.code is None
        local.kill()
        assert len(results_in(results)) < len(files), "all was done before the kill"

    last = station.run("local-last", *command, "--once")
    assert last.code == 0
    found = results_in(results)
    assert sorted(found) == sorted(f"{name}.txt" for name in files)
    for name, content in files.items():
        assert found[f"{name}.txt"].read_text().split()[0] == sha256(content), name
    hidden = [path for path in results.rglob(".*") if path.is_file()]
    assert hidden == [], "unfinished results were left behind"

    station.environment |= stations.stack(station, state / "stack")
    service = peer.Service(station.environment)
    assert service.keys() == []
    jobs = service.jobs()
    assert [job["status"] for job in jobs] == ["COMPLETED"] * len(files)
    assert all(attempts(job).count("complete") == 1 for job in jobs)
    assert_nothing_left(state)


# Results beside the record.


def test_large_result_lies_beside_the_record(station, service, lab):
    fetcher = station.role("fetcher", f"analyse.sink.processor.url={lab.url}")
    # The watcher keeps a large result for its client for a while, but only after it was told to.
    watcher = station.role("watcher")
    client = peer.Client(service)
    file = client.send(b"large")
    job = station.wait(
        "the job is finished", lambda: finished(service, client.id, file), of=[fetcher, watcher]
    )
    assert job["results"] == f"{client.id}/{file}/results"
    plain = peer.unseal(client.key, service.read(job["results"]).decode())
    assert len(plain) == processors.LARGE_BYTES
    assert plain.startswith(sha256(b"large").encode())
    chunks = [f"{client.id}/{file}/0"]
    station.wait("the chunks are gone", lambda: not set(chunks) & set(service.keys()), of=[watcher])


# Setup.


def test_setup_twice(station, service):
    again = station.run("setup-again", BINARY, "setup")
    assert again.code == 0
