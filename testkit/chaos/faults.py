"""What the proxy does to requests: throttled, delayed, stalled, cut; drawn from a seed."""

import random
from collections import Counter

from proxy import Plan, Request

# Of a thousand requests. A fetcher asks some ten times a second, so one of each kind comes every few seconds.
PER_MILLE = {
    "throttled": 25,
    "delayed": 60,
    "stalled": 4,
    "cut before the service": 6,
    "cut within the request": 6,
    "answers lost": 8,
    "cut within the answer": 4,
}
CUTS = {
    "cut before the service": "before",
    "cut within the request": "request",
    "answers lost": "answer",
    "cut within the answer": "midway",
}
DELAY_SECONDS_MAX = 1.5
STALL_SECONDS_MIN, STALL_SECONDS_MAX = 3.0, 9.0
DYNAMODB_THROTTLES = (
    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "com.amazon.coral.availability#ThrottlingException",
)
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


def respond(status: str, kind: str, content: bytes, bare: bool) -> bytes:
    """An answer that leaves the connection open."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + (b"" if bare else content)


class Faults:
    """Draws a plan for each request; calm until `stormy` is set."""

    def __init__(self, seed: int, harm: Counter[str]) -> None:
        self.chance = random.Random(f"faults {seed}")
        self.harm = harm
        self.stormy = False

    def plan(self, request: Request) -> Plan:
        """What happens to this request."""
        if not self.stormy:
            return Plan()
        drawn = self.chance.random() * 1000
        for kind, share in PER_MILLE.items():
            drawn -= share
            if drawn < 0:
                self.harm[f"{request.gate.service}: {kind}"] += 1
                return self.planned(kind, request)
        return Plan()

    def planned(self, kind: str, request: Request) -> Plan:
        """A plan of one kind."""
        if kind == "throttled":
            return Plan(answer=self.throttle(request))
        if kind == "delayed":
            return Plan(delay_seconds=self.chance.uniform(0.02, DELAY_SECONDS_MAX))
        if kind == "stalled":
            return Plan(stall_seconds=self.chance.uniform(STALL_SECONDS_MIN, STALL_SECONDS_MAX))
        return Plan(cut=CUTS[kind])

    def throttle(self, request: Request) -> bytes:
        """What a service says that is asked too often."""
        if request.gate.service == "s3":
            return respond("503 Slow Down", "application/xml", SLOW_DOWN, bare=request.operation == "HEAD")
        content = f'{{"__type":"{self.chance.choice(DYNAMODB_THROTTLES)}","message":"slow down"}}'
        return respond("400 Bad Request", "application/x-amz-json-1.0", content.encode(), bare=False)
