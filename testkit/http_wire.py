"""HTTP/1.1 as it lies on the wire: heads that can be read, bodies passed on as they are."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

BLOCK_BYTES = 1 << 18
HEAD_BYTES_MAX = 1 << 17


@dataclass
class Message:
    """The head of a request or an answer."""

    raw: bytes
    first: list[str]
    headers: dict[str, str]

    @property
    def length(self) -> int | None:
        """How long the body is; None where it comes in chunks or ends with the connection."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def chunked(self) -> bool:
        """Whether the body says itself where it ends."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


async def head(reader: asyncio.StreamReader) -> Message | None:
    """The next head; None where the connection has ended between two messages."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return Message(raw, first.split(" "), {name.strip().lower(): value.strip() for name, value in pairs})


async def body(reader: asyncio.StreamReader, message: Message, bare: bool) -> AsyncIterator[bytes]:
    """A body as it lies on the wire; `bare` without one."""
    if bare:
        return
    if message.chunked:
        while True:
            line = await reader.readuntil(b"\r\n")
            yield line
            left = int(line.split(b";")[0], 16)
            if left == 0:
                while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
                    yield trailer
                yield b"\r\n"
                return
            async for block in exactly(reader, left + 2):
                yield block
    elif message.length is not None:
        async for block in exactly(reader, message.length):
            yield block


async def exactly(reader: asyncio.StreamReader, left: int) -> AsyncIterator[bytes]:
    """So many bytes, in blocks."""
    while left:
        block = await reader.read(min(left, BLOCK_BYTES))
        if not block:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(block)
        yield block
