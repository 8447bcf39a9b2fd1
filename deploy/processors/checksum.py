#!/usr/bin/env python3
"""The smallest useful processor: answers a POST with the size and SHA-256 of what was posted, as JSON."""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Processor(BaseHTTPRequestHandler):
    """Reads the body to its end before it answers: only then is the file whole."""

    def do_POST(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        size = left
        while left:
            block = self.rfile.read(min(left, 1 << 20))
            if not block:
                # The sender gave up: the file was not whole, or not what its client signed.
                return
            digest.update(block)
            left -= len(block)
        answer = json.dumps({"size": size, "sha256": digest.hexdigest()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format, *args):
        """Says nothing: the fetcher logs."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Processor).serve_forever()
