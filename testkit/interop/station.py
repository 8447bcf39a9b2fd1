"""Starts processes for a test, waits for what they do with a bound, and keeps what they wrote."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ROUNDTRIP_BIN", ROOT / "target" / "debug" / "roundtrip"))
WAIT_SECONDS = float(os.environ.get("INTEROP_WAIT_SECONDS", "90"))
POLL_SECONDS = 0.1
STOP_SECONDS = 20
LOG_CHARS_MAX = 6_000
LISTEN = "0A"

# What a laptop does not need to wait for: the shipped roles look every half minute or so.
FAST = {
    "client": [
        "upload.source.directory.settle=200ms",
        "upload.source.directory.rescan=1s",
        "receive.source.results.interval=200ms",
        "receive.source.results.interval-max=1s",
    ],
    "fetcher": [
        "analyse.source.jobs.interval-max=1s",
        "analyse.retry.interval=100ms",
        "analyse.retry.interval-max=500ms",
    ],
    "watcher": [
        "admit.source.foreign.every=1s",
        "cleanup.source.jobs.every=1s",
        "restart-stalled.source.jobs.every=1s",
    ],
}


class Process:
    """One running program; its two outputs go to files."""

    def __init__(self, name, command, environment, folder):
        self.name = name
        self.out = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [str(part) for part in command],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )

    @property
    def code(self):
        """The exit code; None while it runs."""
        return self.popen.poll()

    def output(self):
        return self.out.read_text(encoding="utf-8", errors="replace")

    def logged(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def end(self):
        """Asks it to end, and ends it if it does not; gives the exit code."""
        if self.code is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode

    def kill(self):
        """Ends it as a power cut would."""
        self.popen.kill()
        self.popen.wait()

    def listeners(self):
        """TCP addresses this process accepts connections on."""
        sockets = set()
        for handle in Path(f"/proc/{self.popen.pid}/fd").iterdir():
            try:
                target = os.readlink(handle)
            except FileNotFoundError:
                continue
            if inode := re.fullmatch(r"socket:\[(\d+)\]", target):
                sockets.add(inode[1])
        found = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.popen.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and fields[9] in sockets:
                    found.append(fields[1])
        return found

    def memory_peak(self):
        """The most bytes it ever had resident."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Station:
    """The processes of one test, with the environment they share."""

    def __init__(self, folder):
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.processes = []

    def start(self, name, *command):
        """Starts a program that runs until the test ends."""
        process = Process(name, command, self.environment, self.folder)
        self.processes.append(process)
        return process

    def run(self, name, *command, seconds=WAIT_SECONDS):
        """Runs a program to its end."""
        process = self.start(name, *command)
        self.finish(process, seconds)
        return process

    def finish(self, process, seconds=WAIT_SECONDS):
        """Waits for a program's own end."""
        try:
            process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.name} did not end within {seconds:.0f} s") from None
        return process.code

    def role(self, role, *settings, name=None, once=False):
        """Starts `roundtrip run` for a shipped role, with short schedules and a state folder of its own."""
        name = name or role
        flags = [flag for setting in (*FAST[role], *settings) for flag in ("--set", setting)]
        state = ["--state", self.folder / f"state-{name}"]
        last = ["--once"] if once else []
        return self.start(name, BINARY, "run", role, *flags, *state, *last)

    def wait(self, what, look, seconds=WAIT_SECONDS, of=()):
        """Looks until there is something; fails at the limit, or when a process it waits for has ended."""
        deadline = time.monotonic() + seconds
        while True:
            ended = [process for process in of if process.code is not None]
            if seen := look():
                return seen
            if ended:
                told = ", ".join(f"{process.name} with {process.code}" for process in ended)
                raise AssertionError(f"ended before {what}: {told}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {what} (last seen: {seen!r})")
            time.sleep(POLL_SECONDS)

    def end(self):
        """Ends every process, the last started first."""
        for process in reversed(self.processes):
            process.end()

    def logs(self):
        """The end of what each process wrote, for the report of a failed test."""
        for process in self.processes:
            code = "running" if process.code is None else f"exit {process.code}"
            for kind, text in (("log", process.logged()), ("output", process.output())):
                if text:
                    yield f"{process.name} {kind} ({code})", text[-LOG_CHARS_MAX:]


def moto(station):
    """Starts moto as the S3 and DynamoDB endpoint; gives its environment."""
    process = station.start("moto", sys.executable, Path(__file__).with_name("emulator.py"))
    station.wait("moto listens", lambda: process.output().endswith("\n"), of=[process])
    url = process.output().strip()
    services = ("S3", "DYNAMODB", "DYNAMODB_STREAMS", "CLOUDWATCH")
    return {f"AWS_ENDPOINT_URL_{service}": url for service in services} | {
        "AWS_ACCESS_KEY_ID": "interop",
        "AWS_SECRET_ACCESS_KEY": "interop-secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ROUNDTRIP_BUCKET": "roundtrip",
        "ROUNDTRIP_TABLE": "roundtrip-jobs",
    }


def stack(station, state=None):
    """Starts the embedded stack on a state folder; gives the environment it prints."""
    state = state or station.folder / "state-stack"
    process = station.start("stack", BINARY, "stack", "--state", state)
    station.wait("stack is ready", lambda: "# ready" in process.output(), of=[process])
    exports = re.findall(r"^export (\w+)=(.*)$", process.output(), re.MULTILINE)
    return {name: value.strip("'\"") for name, value in exports}


ENDPOINTS = {"stack": stack, "moto": moto}
