"""An analysis container as a lab might have it: one POST a file, the answer chosen by how the file begins.

Answers: JSON with size and SHA-256; `refuse` 422; `broken` 500; `once` 500 the first time; `twice` 500 the first two
times; `busy` 429 the first time; `hold` the first time only after the gate was opened; `later` 202 with a Location to
poll; `large` a result of LARGE_BYTES.
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE_BYTES = 400_000
HOLD_SECONDS_MAX = 120
FAILS_FIRST = {b"once": 1, b"twice": 2}
REFUSAL = "the image has no channel to count"


class Processor(ThreadingHTTPServer):
    """The server, with the SHA-256 of every file it was asked to analyse."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.seen = []
        self.waiting = {}
        self.gate = threading.Event()

    @property
    def url(self):
        """Where files are posted."""
        return f"http://127.0.0.1:{self.server_port}/"

    def times(self, digest):
        """How often a file was analysed, this time included."""
        with self.lock:
            self.seen.append(digest)
            return self.seen.count(digest)

    def poll(self, name):
        """How often a postponed answer was asked for, this time included; None where there is none."""
        with self.lock:
            if name not in self.waiting:
                return None
            self.waiting[name] += 1
            return self.waiting[name]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.removeprefix("/answers/")
        if name == self.path:
            return self.answer(200, b"ready", "text/plain")
        polls = self.server.poll(name)
        if polls is None:
            return self.answer(404, b"no such answer", "text/plain")
        if polls == 1:
            return self.answer(202, b"", "text/plain")
        return self.answer(200, json.dumps({"sha256": name, "polls": polls}).encode())

    def do_POST(self):
        digest = hashlib.sha256()
        size = 0
        start = b""
        try:
            for block in self.blocks():
                digest.update(block)
                size += len(block)
                start = (start + block)[:16] if len(start) < 16 else start
        except (ConnectionError, ValueError):
            # The sender gave the file up: there is nothing to answer, and nothing was analysed.
            self.close_connection = True
            return None
        name = digest.hexdigest()
        times = self.server.times(name)
        kind = start.split(b" ")[0]
        if kind == b"refuse":
            return self.answer(422, REFUSAL.encode(), "text/plain; charset=utf-8")
        if kind == b"hold" and times == 1:
            self.server.gate.wait(HOLD_SECONDS_MAX)
        if kind == b"broken" or times <= FAILS_FIRST.get(kind, 0):
            return self.answer(500, b"out of memory", "text/plain")
        if kind == b"busy" and times == 1:
            return self.answer(429, b"busy", "text/plain", {"Retry-After": "1"})
        if kind == b"later":
            with self.server.lock:
                self.server.waiting.setdefault(name, 0)
            return self.answer(202, b"", "text/plain", {"Location": f"/answers/{name}"})
        if kind == b"large":
            return self.answer(200, name.encode() + b"x" * (LARGE_BYTES - len(name)), "text/plain")
        return self.answer(200, json.dumps({"size": size, "sha256": name}).encode())

    def blocks(self):
        """The request's body: chunked, or as long as it says."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while length := int(self.line().split(b";")[0], 16):
                yield from self.exactly(length)
                self.line()
            while self.line():
                pass
        else:
            yield from self.exactly(int(self.headers.get("Content-Length", 0)))

    def line(self):
        line = self.rfile.readline(1024)
        if not line.endswith(b"\n"):
            raise ConnectionError("the body ended early")
        return line.strip()

    def exactly(self, length):
        while length:
            block = self.rfile.read(min(length, 1 << 16))
            if not block:
                raise ConnectionError("the body ended early")
            length -= len(block)
            yield block

    def answer(self, status, body, kind="application/json", headers=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        print(f"processor: {format % arguments}", file=sys.stderr)


if __name__ == "__main__":
    server = Processor(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    print(server.url, flush=True)
    server.serve_forever()
