"""An HTTP proxy in front of S3 and DynamoDB: it counts requests and, where it is told to, does them harm.

Each port stands for one role and one service, so that the counts tell who asked for what. Without a plan every
request passes through. It speaks as much HTTP/1.1 as the AWS SDKs do: keep-alive, bodies by length or in chunks,
interim answers.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from http_wire import HEAD_BYTES_MAX, Message, body, head

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TARGET_HEADER = "x-amz-target"
SERVICES = {"s3": ["S3"], "dynamodb": ["DYNAMODB", "DYNAMODB_STREAMS"]}


@dataclass(frozen=True)
class Gate:
    """One port: whose requests it takes, and where they go."""

    role: str
    service: str
    host: str
    port: int


@dataclass
class Request:
    """What a plan may look at."""

    gate: Gate
    operation: str
    attempt: int
    body: bytes | None


@dataclass
class Plan:
    """What happens to one request; by default nothing."""

    answer: bytes | None = None  # in place of the service's
    delay_seconds: float = 0.0  # before it reaches the service
    stall_seconds: float = 0.0  # between the service's answer and the asker
    cut: str = ""  # "before" the service, within the "request", the "answer" is lost, or "midway" through it


@dataclass
class Counts:
    """What passed through."""

    asked: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # role, service, operation
    harm: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # answers of 500 and above, connections that ended
    repeated: int = 0
    claims_tried: int = 0
    claims_lost: int = 0
    conditions_lost: int = 0


def operation_of(message: Message) -> str:
    """UpdateItem and its kind for DynamoDB; the method, or what a listing is, for S3."""
    if target := message.headers.get(TARGET_HEADER):
        return target.split(".")[-1]
    method, path = message.first[0], message.first[1]
    if method == "GET" and ("list-type=" in path or "prefix=" in path):
        return "LIST"
    if method == "POST" and "delete" in path:
        return "DELETE (batch)"
    return method


class Proxy:
    """Ports on 127.0.0.1, served by a thread of this process until it ends."""

    def __init__(self, plan: Callable[[Request], Plan] | None = None) -> None:
        self.counts = Counts()
        self.plan = plan
        self.away_until = 0.0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="proxy", daemon=True)
        self.thread.start()

    def environment(self, role: str, endpoints: dict[str, str]) -> dict[str, str]:
        """Opens the ports of a role; gives the endpoint variables that lead through them."""
        changed = {}
        for service, names in SERVICES.items():
            upstream = urlsplit(endpoints[f"AWS_ENDPOINT_URL_{names[0]}"])
            assert upstream.hostname and upstream.port, "the stack names host and port"
            gate = Gate(role, service, upstream.hostname, upstream.port)
            port = asyncio.run_coroutine_threadsafe(self.open(gate), self.loop).result(10)
            changed |= {f"AWS_ENDPOINT_URL_{name}": f"http://127.0.0.1:{port}" for name in names}
        return endpoints | changed

    async def open(self, gate: Gate) -> int:
        """Listens for a gate; gives its port."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.connection(gate, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        return server.sockets[0].getsockname()[1]

    def outage(self, seconds: float) -> None:
        """For so long every connection is cut."""
        self.away_until = time.monotonic() + seconds

    async def connection(
        self, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection of an asker, with one of our own behind it."""
        behind: list[asyncio.StreamWriter] = []
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            ours = None
            while message := await head(reader):
                if ours is None or ours[0].at_eof():
                    ours = await asyncio.open_connection(gate.host, gate.port, limit=HEAD_BYTES_MAX)
                    behind.append(ours[1])
                if not await self.exchange(gate, message, (reader, writer), ours):
                    break
        writer.close()
        for end in behind:
            end.transport.abort()

    async def exchange(self, gate: Gate, message: Message, theirs: Ends, ours: Ends) -> bool:
        """One request and its answer; False where the connection must end."""
        reader, writer = theirs
        content = None
        if gate.service == "dynamodb":
            content = b"".join([block async for block in body(reader, message, bare=False)])
        request = self.note(gate, message, content)
        if time.monotonic() < self.away_until:
            self.counts.harm["requests cut in an outage"] += 1
            writer.transport.abort()
            return False
        plan = self.plan(request) if self.plan else Plan()
        if plan.answer is not None:
            if content is None:
                async for _ in body(reader, message, bare=False):
                    pass
            writer.write(plan.answer)
            await writer.drain()
            return True
        if plan.delay_seconds:
            await asyncio.sleep(plan.delay_seconds)
        if plan.cut == "before":
            writer.transport.abort()
            return False
        return await self.forward(request, message, theirs, ours, plan)

    def note(self, gate: Gate, message: Message, content: bytes | None) -> Request:
        """Counts a request."""
        operation = operation_of(message)
        attempt = re.search(r"attempt=(\d+)", message.headers.get("amz-sdk-request", ""))
        request = Request(gate, operation, int(attempt[1]) if attempt else 1, content)
        self.counts.asked[gate.role, gate.service, operation] += 1
        self.counts.repeated += request.attempt > 1
        return request

    async def forward(
        self, request: Request, message: Message, theirs: Ends, ours: Ends, plan: Plan
    ) -> bool:
        """Passes a request on and its answer back, as far as the plan lets it."""
        (reader, writer), (back, out) = theirs, ours
        self.counts.claims_tried += is_claim(request)

        async def send() -> None:
            out.write(message.raw)
            if request.body is not None:
                half = request.body[: len(request.body) // 2]
                out.write(half if plan.cut == "request" else request.body)
            else:
                sent = 0
                async for block in body(reader, message, bare=False):
                    if plan.cut == "request" and sent + len(block) > (message.length or 0) // 2:
                        break
                    sent += len(block)
                    out.write(block)
                    await out.drain()
            await out.drain()
            if plan.cut == "request":
                writer.transport.abort()
                out.transport.abort()

        sender = asyncio.ensure_future(send())
        try:
            while True:
                answer = await head(back)
                if answer is None:
                    self.counts.faults[f"{request.gate.service} ended the connection"] += 1
                    return False
                if not answer.first[1].startswith("1"):
                    break
                writer.write(answer.raw)
            if answer.first[1].startswith("5"):
                self.counts.faults[f"{request.gate.service} answered {answer.first[1]}"] += 1
            if plan.stall_seconds:
                await asyncio.sleep(plan.stall_seconds)
            if plan.cut == "answer":
                writer.transport.abort()
                return False
            bare = message.first[0] == "HEAD" or answer.first[1] in ("204", "304")
            await self.give_back(request, answer, body(back, answer, bare), writer, plan)
        finally:
            whole = sender.done() and not sender.cancelled() and sender.exception() is None
            if not whole:
                sender.cancel()
        endless = answer.length is None and not answer.chunked and not bare
        closes = endless or answer.headers.get("connection", "").lower() == "close"
        return whole and not closes and plan.cut != "midway"

    async def give_back(
        self,
        request: Request,
        answer: Message,
        blocks: AsyncIterator[bytes],
        writer: asyncio.StreamWriter,
        plan: Plan,
    ) -> None:
        """Passes an answer to the asker."""
        writer.write(answer.raw)
        judged = request.body is not None and answer.first[1] == "400"
        async for block in blocks:
            if judged and b"ConditionalCheckFailed" in block:
                self.counts.conditions_lost += 1
                self.counts.claims_lost += is_claim(request)
            if plan.cut == "midway":
                writer.write(block[: len(block) // 2])
                break
            writer.write(block)
            await writer.drain()
        await writer.drain()
        if plan.cut == "midway":
            writer.transport.abort()


def is_claim(request: Request) -> bool:
    """Whether a fetcher tries to take a job: the one write that asks for no processor and names when it began."""
    content = request.body or b""
    return (
        request.operation == "UpdateItem"
        and b"#assigned" in content
        and b"attribute_not_exists(#processor)" in content
    )

