"""The analysis container of the chaos: sometimes slow, sometimes 500, sometimes 503 with Retry-After.

It runs as a process of its own, reuses the HTTP of the interoperability suite's processor, and tells on
`GET /counts` how often it was asked for which file (by SHA-256) and what it answered.
"""

import hashlib
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "interop"))

import processor

SLOW_SECONDS_MAX = 2.5
VERY_SLOW_SECONDS = 8.0
FAULTS_MAX = 2  # of one file: more would be the file's fault and not the lab's


class Lab(processor.Processor):
    """The server, with what it was asked and what it answered."""

    request_queue_size = 64

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.RequestHandlerClass = Desk
        self.seed = seed
        self.answers: Counter[str] = Counter()
        self.results: Counter[str] = Counter()

    def mood(self, digest: str, times: int) -> str:
        """How a file is met this time: the same for the same seed."""
        if times > FAULTS_MAX:
            return "well"
        drawn = random.Random(f"{self.seed} {digest} {times}").random()
        for mood, share in (("500", 0.06), ("503", 0.06), ("slow", 0.10), ("very slow", 0.02)):
            drawn -= share
            if drawn < 0:
                return mood
        return "well"

    def note(self, mood: str, digest: str | None = None) -> None:
        """Counts an answer; with a digest, a result."""
        with self.lock:
            self.answers[mood] += 1
            if digest:
                self.results[digest] += 1


class Desk(processor.Handler):
    """One request."""

    server: Lab

    def do_GET(self) -> None:
        if self.path != "/counts":
            return self.answer(200, b"ready", "text/plain")
        with self.server.lock:
            told = {
                "asked": Counter(self.server.seen),
                "results": self.server.results,
                "answers": self.server.answers,
            }
        return self.answer(200, json.dumps(told).encode())

    def do_POST(self) -> None:
        digest = hashlib.sha256()
        size = 0
        try:
            for block in self.blocks():
                digest.update(block)
                size += len(block)
        except (ConnectionError, ValueError):
            self.close_connection = True
            return self.server.note("uploads that broke off")
        name = digest.hexdigest()
        mood = self.server.mood(name, self.server.times(name))
        if mood == "500":
            self.server.note("500")
            return self.answer(500, b"out of memory", "text/plain")
        if mood == "503":
            self.server.note("503 with Retry-After")
            return self.answer(503, b"busy", "text/plain", {"Retry-After": "1"})
        if mood == "slow":
            time.sleep(random.Random(name).uniform(0.2, SLOW_SECONDS_MAX))
        elif mood == "very slow":
            time.sleep(VERY_SLOW_SECONDS)
        self.server.note(f"200, {mood}", name)
        try:
            return self.answer(200, json.dumps({"size": size, "sha256": name}).encode())
        except OSError:
            # Whoever asked is gone: killed, or no longer the one who holds the job.
            self.close_connection = True
            return self.server.note("results that nobody waited for")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the counts tell."""


if __name__ == "__main__":
    lab = Lab(int(sys.argv[1]))
    print(lab.url, flush=True)
    lab.serve_forever()
