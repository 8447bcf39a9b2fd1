"""Draws from a seed whom to kill, whom to stop and when to cut everything, and does it."""

import random
import signal
import time

from crew import Crew, Member
from proxy import Proxy

WAIT_SECONDS = (0.5, 4.0)  # between two strokes
DOWN_SECONDS = (0.3, 6.0)  # until a killed process is started again
OUTAGE_SECONDS = (1.0, 6.0)
STOP_MORE_SECONDS = (1.5, 6.0)  # beyond the lease
STROKES = {"kill": 0.55, "stop": 0.33, "outage": 0.12}


class Monkey:
    """Strikes while it is let; `rest` mends what it did."""

    def __init__(self, seed: int, crew: Crew, proxy: Proxy, lease_seconds: float) -> None:
        self.chance = random.Random(f"monkey {seed}")
        self.crew = crew
        self.proxy = proxy
        self.lease_seconds = lease_seconds
        self.next_at = time.monotonic() + 2.0

    def tick(self) -> None:
        """Strikes where it is time."""
        if time.monotonic() < self.next_at:
            return
        self.next_at = time.monotonic() + self.chance.uniform(*WAIT_SECONDS)
        stroke = self.chance.choices(list(STROKES), list(STROKES.values()))[0]
        members = self.crew.of("client", "fetcher", "watcher")
        member = self.chance.choice(members)
        if stroke == "outage":
            self.proxy.outage(self.chance.uniform(*OUTAGE_SECONDS))
            self.crew.done["outages of all services"] += 1
        elif stroke == "kill" and member.alive:
            self.kill(member)
        elif stroke == "stop" and member.idle:
            self.stop(member)

    def kill(self, member: Member) -> None:
        """kill -9; it is started again after a while, on the same state folder."""
        stopped = ", while stopped" if member.continue_at is not None else ""
        member.kill()
        member.start_at = time.monotonic() + self.chance.uniform(*DOWN_SECONDS)
        self.crew.done[f"{member.role}: kill -9{stopped}"] += 1

    def stop(self, member: Member) -> None:
        """SIGSTOP for longer than a lease, then SIGCONT."""
        member.signal(signal.SIGSTOP)
        seconds = self.lease_seconds + self.chance.uniform(*STOP_MORE_SECONDS)
        member.continue_at = time.monotonic() + seconds
        self.crew.done[f"{member.role}: stopped for longer than the lease"] += 1

    def rest(self) -> None:
        """Everything runs again."""
        self.proxy.away_until = 0.0
        for member in self.crew.of("client", "fetcher", "watcher"):
            if member.continue_at is not None:
                member.continue_at = time.monotonic()
            if member.start_at is not None:
                member.start_at = time.monotonic()
        self.crew.tend()
