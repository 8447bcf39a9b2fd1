"""What becomes of a job whose fetcher stands still, and of one whose analysis fails."""

import json
import signal
from datetime import datetime

import pytest
from station import BINARY
from test_interop import attempts, await_clean, client_settings, finished, folders, results_in, sha256, write

LEASE = ("analyse.claim.lease=3s", "analyse.claim.heartbeat=1s")
INTERVAL_SECONDS, BACKOFF_RATE, ATTEMPTS_MAX = 0.8, 2.0, 3
LATE_SECONDS_MAX = 10
POLICY = (
    f"analyse.retry.attempts-max={ATTEMPTS_MAX}",
    f"analyse.retry.interval={INTERVAL_SECONDS * 1000:.0f}ms",
    f"analyse.retry.backoff-rate={BACKOFF_RATE}",
    "analyse.retry.interval-max=10s",
    "analyse.retry.jitter=none",
    # A job that is due is found by the next look.
    "analyse.source.jobs.interval-max=200ms",
    "analyse.source.jobs.interval=100ms",
)


def only_job(service):
    """The table's one job; None while there is none."""
    jobs = service.jobs()
    assert len(jobs) <= 1
    return jobs[0] if jobs else None


def held_by_lab(station, service, lab, fetcher, content):
    """The job, once the processor has the whole file and the fetcher waits for its answer."""
    station.wait("the processor is asked", lambda: sha256(content) in lab.seen, of=[fetcher])
    return station.wait(
        "the job is held", lambda: (job := only_job(service)) and "processor" in job and job, of=[fetcher]
    )


def test_a_paused_fetcher_commits_nothing(station, service, lab):
    """SIGSTOP for longer than the lease, the answer meanwhile, SIGCONT: another has completed the job, once."""
    inbox, results = folders(station)
    content, after = b"hold the answer", b"after the pause"
    write(inbox, {"held.raw": content})
    url = f"analyse.sink.processor.url={lab.url}"
    watcher = station.role("watcher")
    client = station.role("client", *client_settings(inbox, results))
    paused = station.role("fetcher", url, *LEASE, name="fetcher-paused")
    held = held_by_lab(station, service, lab, paused, content)

    paused.popen.send_signal(signal.SIGSTOP)
    other = station.role("fetcher", url, *LEASE, name="fetcher-other")
    done = station.wait(
        "another completes it", lambda: finished(service, held["client"], held["file"]), of=[other, watcher]
    )
    assert done["status"] == "COMPLETED"
    assert done["processor"] != held["processor"]
    assert attempts(done) == ["requeue", "complete"]
    assert (int(done["retries"]), int(done.get("failures", 0))) == (1, 0)
    result = station.wait("the result", lambda: results_in(results), of=[client])["held.raw.json"]
    written = result.stat()

    # With the other gone, only the paused one can take the next job: once that is done, it has come back to itself.
    assert other.end() == 0
    lab.gate.set()
    paused.popen.send_signal(signal.SIGCONT)
    write(inbox, {"after.raw": after})
    station.wait(
        "the paused fetcher works again", lambda: "after.raw.json" in results_in(results), of=[paused, client]
    )
    await_clean(station, service, watcher)
    now = service.job(held["client"], held["file"])
    cleaned = {"lane", "due", "cleaned", "expires"}
    assert {name: value for name, value in now.items() if name not in cleaned} == {
        name: value for name, value in done.items() if name not in cleaned
    }, "the job was written after it was completed"
    again = result.stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns), "the result was rewritten"
    assert json.loads(result.read_text())["sha256"] == sha256(content)
    assert (lab.seen.count(sha256(content)), lab.seen.count(sha256(after))) == (2, 1)
    assert f" complete file={held['file']}" not in paused.logged()
    assert paused.end() == 0


def moment(text):
    return datetime.fromisoformat(text)


def waits(job):
    """Seconds between the end of each attempt and the next claim."""
    history = job["history"]
    return [
        (moment(claim["since"]) - moment(end["at"])).total_seconds()
        for end, claim in zip(history, history[1:], strict=False)
    ]


@pytest.mark.parametrize(
    ("begins", "asked", "ended", "failures"),
    [
        ("twice", 3, ["release", "release", "complete"], 2),
        ("broken", ATTEMPTS_MAX, ["release", "release", "fail"], ATTEMPTS_MAX),
        ("refuse", 1, ["fail"], 1),
    ],
    ids=["500-500-200", "500-always", "422"],
)
def test_failures_are_counted_and_spaced(station, service, lab, begins, asked, ended, failures):
    inbox, results = folders(station)
    content = begins.encode() + b" it"
    write(inbox, {"scan.raw": content})
    fetcher = station.role("fetcher", f"analyse.sink.processor.url={lab.url}", *POLICY)
    client = station.role("client", *client_settings(inbox, results))
    job = station.wait(
        "the job is finished",
        lambda: (job := only_job(service)) and finished(service, job["client"], job["file"]),
        of=[fetcher, client],
    )
    found = station.wait("a result", lambda: results_in(results), of=[client])
    shown = station.run("show", BINARY, "jobs", "show", job["file"])
    print(shown.output())
    assert shown.code == 0

    assert job["status"] == ("COMPLETED" if ended[-1] == "complete" else "ERROR")
    assert list(found) == ["scan.raw.json" if ended[-1] == "complete" else "scan.raw.error.txt"]
    assert attempts(job) == ended
    assert (int(job.get("failures", 0)), int(job.get("retries", 0))) == (failures, 0)
    assert lab.seen.count(sha256(content)) == asked
    policy = [INTERVAL_SECONDS * BACKOFF_RATE**number for number in range(len(ended) - 1)]
    print("wait by the policy, wait as it was, in seconds")
    for planned, waited in zip(policy, waits(job), strict=True):
        print(f"{planned:18.2f} {waited:16.2f}")
        # A look comes a while after the job is due, never before.
        assert planned <= waited <= planned + LATE_SECONDS_MAX

    watcher = station.role("watcher")
    await_clean(station, service, watcher)
