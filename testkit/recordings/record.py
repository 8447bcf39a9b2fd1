#!/usr/bin/env python3
"""Records histories of the running system: `python3 testkit/recordings/record.py [NAME...]`.

Each runs `roundtrip stack`, roles as processes of their own with short waits, and `roundtrip record` beside them. They come
out otherwise each time: a recording that is kept is not made anew without a reason. `ROUNDTRIP_BIN` names the binary.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
BINARY = os.environ.get("ROUNDTRIP_BIN", str(HERE.parents[1] / "target/debug/roundtrip"))
WAIT_SECONDS = 60
HISTORIES = {}

FETCHER = ["source.jobs.interval=100ms", "source.jobs.interval-max=500ms", "claim.lease=6s", "claim.heartbeat=2s",
           "claim.report=3s", "retry.interval=500ms", "retry.interval-max=1s"]
WATCHER = ["restart-stalled.source.jobs.every=1s", "restart-stalled.retry.interval=500ms", "queue-length.sink.metrics.to=log"]
CLIENT = ["upload.source.directory.settle=200ms", "upload.source.directory.rescan=2s"]


class Station:
    """Services, roles and a recorder in one folder."""

    def __init__(self, out):
        self.folder, self.out, self.processes = Path(tempfile.mkdtemp()), out, []
        self.environment = dict(os.environ)
        self.start("stack", "--state", "stack", stdout=(self.folder / "exports").open("w"))
        self.wait("the stack", lambda: "# ready" in (self.folder / "exports").read_text())
        for line in (self.folder / "exports").read_text().splitlines():
            if line.startswith("export "):
                name, value = line.removeprefix("export ").split("=", 1)
                self.environment[name] = value.strip("'")
        self.run("setup")
        self.recorder = self.start("record", "--out", "recording.jsonl")
        self.wait("the recorder", lambda: (self.folder / "recording.jsonl").exists())
        time.sleep(1)

    def start(self, *arguments, stdout=subprocess.DEVNULL):
        log = (self.folder / f"{len(self.processes)}-{arguments[0]}.log").open("w")
        process = subprocess.Popen([BINARY, *arguments], cwd=self.folder, env=self.environment, stdout=stdout, stderr=log)
        self.processes.append(process)
        return process

    def run(self, *arguments):
        return subprocess.run([BINARY, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def role(self, name, *settings):
        number = len(self.processes)
        given = [word for setting in settings for word in ("--set", setting)]
        return self.start("run", name, "--state", f"state-{name}-{number}", *given)

    def fetcher(self, *settings):
        return self.role("fetcher", *[f"analyse.{setting}" for setting in [*FETCHER, *settings]])

    def watcher(self, *settings):
        return self.role("watcher", *WATCHER, *settings)

    def client(self, *settings, inbox="inbox"):
        return self.role("client", *CLIENT, f"upload.source.directory.path={inbox}",
                         f"receive.sink.directory.path=results-{inbox}", *settings)

    def file(self, name, size, inbox="inbox"):
        (self.folder / inbox).mkdir(exist_ok=True)
        (self.folder / inbox / name).write_bytes(os.urandom(size))

    def wait(self, what, holds):
        end = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > end:
                sys.exit(f"waited in vain for {what} in {self.folder}")
            time.sleep(0.1)

    def images(self):
        """What the recorder has seen of jobs: their latest images."""
        images = {}
        for line in (self.folder / "recording.jsonl").read_text().splitlines():
            image = json.loads(line).get("dynamodb", {}).get("NewImage", {})
            if image.get("client", {}).get("S", "").startswith("client-"):
                images[image["file"]["S"]] = {name: next(iter(value.values())) for name, value in image.items()}
        return images

    def until(self, status, count=1):
        self.wait(f"{count} x {status}", lambda: sum(job["status"] == status for job in self.images().values()) >= count)

    def until_cleaned(self, count):
        self.wait(f"{count} cleaned", lambda: sum("cleaned" in job for job in self.images().values()) >= count)

    def end(self, about):
        time.sleep(1)
        self.recorder.send_signal(signal.SIGINT)
        self.recorder.wait(WAIT_SECONDS)
        for process in self.processes[1:]:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(WAIT_SECONDS)
        self.processes[0].terminate()
        self.processes[0].wait(WAIT_SECONDS)
        lines = (self.folder / "recording.jsonl").read_text().splitlines()
        header = json.loads(lines[0])
        header["recording"]["about"] = about
        self.out.write_text("\n".join([json.dumps(header, separators=(",", ":")), *lines[1:]]) + "\n")
        shutil.rmtree(self.folder)


def history(tell):
    HISTORIES["real-" + tell.__name__.replace("_", "-")] = tell
    return tell


@history
def round_trip(s):
    """Five files of one client through one fetcher."""
    for number in range(5):
        s.file(f"{number}.bin", 100_000 * (number + 1))
    s.watcher(), s.fetcher("sink.processor.builtin=fingerprint"), s.client()
    s.until_cleaned(5)


@history
def fetcher_killed(s):
    """A fetcher is killed in the middle of an analysis; another ends it."""
    s.file("a.bin", 300_000)
    s.watcher()
    first = s.fetcher("sink.processor.command=sleep 60")
    s.client()
    s.until("PROCESSING")
    s.wait("the download", lambda: any("downloaded" in job for job in s.images().values()))
    first.kill()
    s.fetcher("sink.processor.builtin=fingerprint")
    s.until_cleaned(1)


@history
def two_fetchers(s):
    """Two fetchers at the same jobs: each is claimed once."""
    s.watcher()
    for _ in range(2):
        s.fetcher("sink.processor.command=sleep 0.3", "claim.in-flight-max=1")
    for number in range(8):
        s.file(f"{number}.bin", 50_000)
    s.client()
    s.until_cleaned(8)


@history
def analysis_fails(s):
    """A command that ends with an error: the file is at fault, and there is no second attempt."""
    s.file("a.bin", 50_000)
    s.watcher(), s.fetcher("sink.processor.command=false"), s.client()
    s.until("ERROR")
    s.until_cleaned(1)


@history
def cancelled(s):
    """An operator cancels a job that is analysed."""
    s.file("a.bin", 50_000)
    s.watcher(), s.fetcher("sink.processor.command=sleep 60"), s.client()
    s.wait("the download", lambda: any("downloaded" in job for job in s.images().values()))
    s.run("jobs", "cancel", next(iter(s.images())))
    s.until_cleaned(1)


@history
def cancelled_while_it_waits(s):
    """An operator cancels a job that nobody has taken."""
    s.file("a.bin", 50_000)
    s.watcher(), s.client()
    s.until("QUEUED")
    s.run("jobs", "cancel", next(iter(s.images())))
    s.until_cleaned(1)


@history
def client_gives_up(s):
    """A file changes while it is sent: its client gives the job up, the fetcher ends it, and the file comes anew."""
    s.file("a.bin", 40_000_000)
    s.watcher(), s.fetcher("sink.processor.builtin=fingerprint")
    s.client("upload.chunker.fixed.size=256 KiB", "upload.transport.s3.concurrency-max=1")
    s.until("PROCESSING")
    s.file("a.bin", 100_000)
    s.until_cleaned(2)


@history
def priorities(s):
    """Urgent jobs overtake those that wait, and keep their places where they are given back."""
    s.watcher()
    for number in range(4):
        s.file(f"{number}.bin", 50_000)
        s.file(f"{number}.bin", 50_000, "urgent")
    s.client()
    s.until("QUEUED", 4)
    s.client("upload.sink.jobs.priority=7", inbox="urgent")
    s.until("QUEUED", 8)
    first = s.fetcher("sink.processor.command=sleep 60")
    s.wait("the download", lambda: any("downloaded" in job for job in s.images().values()))
    first.send_signal(signal.SIGINT)
    first.wait(WAIT_SECONDS)
    s.fetcher("sink.processor.builtin=fingerprint", "claim.in-flight-max=1")
    s.until_cleaned(8)


@history
def large_result(s):
    """A result too large for the record: it waits in the bucket for its client."""
    s.file("a.bin", 50_000)
    s.watcher(), s.fetcher("sink.processor.command=head -c 300000 /dev/zero"), s.client()
    s.wait("the wait", lambda: any(job["due"] > job.get("processed", "never") for job in s.images().values()))


@history
def told_to_stop(s):
    """A fetcher is told to stop while it analyses; the next one begins anew."""
    s.file("a.bin", 50_000)
    s.watcher()
    first = s.fetcher("sink.processor.command=sleep 60")
    s.client()
    s.wait("the download", lambda: any("downloaded" in job for job in s.images().values()))
    first.send_signal(signal.SIGINT)
    first.wait(WAIT_SECONDS)
    s.fetcher("sink.processor.builtin=fingerprint")
    s.until_cleaned(1)


@history
def many_chunks(s):
    """A file in many chunks, claimed while the client still sends."""
    s.file("a.bin", 12_000_000)
    s.watcher(), s.fetcher("sink.processor.builtin=fingerprint")
    s.client("upload.chunker.fixed.size=256 KiB", "upload.transport.s3.concurrency-max=1")
    s.until_cleaned(1)


def main(names):
    for name, tell in HISTORIES.items():
        if not names or name in names:
            station = Station(HERE / f"{name}.jsonl")
            tell(station)
            station.end(tell.__doc__)
            print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
