"""Processes that are started, killed, stopped and started again, and that never outlive the program that did so."""

import atexit
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("interop")))

from station import BINARY

POLL_SECONDS = 0.05
END_SECONDS = 40
TRY_AGAIN = 75  # the exit code of a role whose services are away: whoever supervises it starts it again
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends, however that ends."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Member:
    """One process, over all its starts."""

    role: str
    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    popen: subprocess.Popen[bytes] | None = None
    starts: int = 0
    cpu_seconds: float = 0.0  # of the lives that have ended
    start_at: float | None = None  # dead until then
    continue_at: float | None = None  # stopped until then
    expected: bool = False  # whether we ended it
    logged_before: int = 0  # bytes in the log when this life began

    @property
    def log(self) -> Path:
        """What all its lives wrote."""
        return self.folder / f"{self.name}.log"

    @property
    def output(self) -> Path:
        """Its standard output."""
        return self.folder / f"{self.name}.out"

    @property
    def alive(self) -> bool:
        """Whether it runs or is stopped."""
        return self.popen is not None and self.popen.poll() is None

    @property
    def idle(self) -> bool:
        """Whether nothing is being done to it."""
        return self.alive and self.continue_at is None

    def start(self) -> None:
        """Starts it, in a process group of its own, its logs appended."""
        self.logged_before = self.log.stat().st_size if self.log.exists() else 0
        with self.output.open("ab") as out, self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                process_group=0,
                preexec_fn=die_with_parent,
            )
        self.starts += 1
        self.start_at = None
        self.expected = False

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all of it."""
        if self.alive:
            assert self.popen is not None
            os.killpg(self.popen.pid, number)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if not self.alive:
            return
        assert self.popen is not None
        self.cpu_seconds += self.cpu_now()
        self.expected = True
        self.continue_at = None
        self.signal(signal.SIGKILL)
        self.popen.wait()

    @property
    def at_work(self) -> bool:
        """Whether this life came past its start."""
        return b" runs role=" in self.log.read_bytes()[self.logged_before :]

    def cpu_now(self) -> float:
        """CPU seconds of this life so far."""
        if not self.alive:
            return 0.0
        assert self.popen is not None
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cpu(self) -> float:
        """CPU seconds of all its lives."""
        return self.cpu_seconds + self.cpu_now()

    def logged(self) -> str:
        """What it wrote for people."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


@dataclass
class Crew:
    """All processes of one run."""

    folder: Path
    members: list[Member] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        atexit.register(self.kill_all)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(130))

    def add(self, role: str, name: str, command: list[object], environment: dict[str, str]) -> Member:
        """Starts a process."""
        member = Member(role, name, [str(part) for part in command], base() | environment, self.folder)
        self.members.append(member)
        member.start()
        return member

    def run(self, role: str, name: str, settings: list[str], environment: dict[str, str]) -> Member:
        """Starts `roundtrip run` for a shipped role with a state folder of its own."""
        flags = [flag for setting in settings for flag in ("--set", setting)]
        state = self.folder / f"state-{name}"
        return self.add(role, name, [BINARY, "run", role, *flags, "--state", state], environment)

    def of(self, *roles: str) -> list[Member]:
        """The members of these roles."""
        return [member for member in self.members if member.role in roles]

    def tend(self) -> None:
        """Starts again what is due, and notes what ended by itself."""
        now = time.monotonic()
        for member in self.members:
            if member.continue_at is not None and now >= member.continue_at:
                member.continue_at = None
                member.signal(signal.SIGCONT)
            if member.start_at is not None and now >= member.start_at:
                member.start()
            elif not member.alive and member.start_at is None and not member.expected:
                assert member.popen is not None
                code = member.popen.returncode
                if code == TRY_AGAIN:
                    when = "at work" if member.at_work else "at its start"
                    self.done[f"{member.role}: ended with 75 (try again later) {when}, started again"] += 1
                else:
                    self.faults.append(f"{member.name} ended by itself with {code}: see {member.log}")
                member.start_at = now + 1.0

    def end(self, *roles: str) -> None:
        """Asks members to end, all at once; those that do not are killed and noted."""
        members = [member for member in self.of(*roles) if member.alive]
        for member in members:
            member.cpu_seconds += member.cpu_now()
            member.expected = True
            member.signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for member in members:
            assert member.popen is not None
            try:
                code = member.popen.wait(max(0.1, deadline - time.monotonic()))
                if code != 0:
                    self.faults.append(f"{member.name} ended with {code} when it was asked to: see {member.log}")
            except subprocess.TimeoutExpired:
                self.faults.append(f"{member.name} did not end within {END_SECONDS} s: see {member.log}")
                member.kill()

    def kill_all(self) -> None:
        """Leaves no process."""
        for member in reversed(self.members):
            member.start_at = None
            member.kill()


def base() -> dict[str, str]:
    """What every process needs of our environment."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def until(what: str, look, seconds: float, crew: Crew):
    """Looks until there is something, tending the crew meanwhile; gives None at the limit."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            print(f"not within {seconds:.0f} s: {what}", flush=True)
            return None
        crew.tend()
        time.sleep(POLL_SECONDS)
    return seen


def stack(crew: Crew) -> dict[str, str]:
    """Starts the embedded stack and makes table and bucket; gives the environment it prints."""
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build`, or set ROUNDTRIP_BIN")
    member = crew.add("stack", "stack", [BINARY, "stack", "--state", crew.folder / "state-stack"], {})
    if not until("the stack is ready", lambda: "# ready" in member.output.read_text(), 60, crew):
        sys.exit(f"the stack did not start: {member.logged()}")
    exports = re.findall(r"^export (\w+)=(.*)$", member.output.read_text(), re.MULTILINE)
    environment = {name: value.strip("'\"") for name, value in exports}
    subprocess.run(
        [BINARY, "setup"], env=base() | environment, check=True, stdout=subprocess.DEVNULL, timeout=60
    )
    return environment
