"""Files made from a seed, dropped into inboxes over time, and the results they must have."""

import hashlib
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

DIGITS = 4


@dataclass
class File:
    """One file: whose inbox it goes to, when, and what it holds."""

    name: str
    client: int
    drop_at: float  # seconds from the start
    size: int
    seed: str
    sha256: str = ""

    def content(self) -> bytes:
        """Half of it noise, as a microscope's files are."""
        noise = random.Random(self.seed).randbytes((self.size + 1) // 2)
        return noise + bytes(self.size - len(noise))


def draw(seed: int, count: int, clients: int, seconds: float, bytes_max: int) -> list[File]:
    """Files from 1 byte to `bytes_max`, as many small ones as large, each of a content of its own."""
    chance = random.Random(f"files {seed}")
    files = []
    for number in range(count):
        size = round(math.exp(chance.uniform(0, math.log(bytes_max))))
        size = {0: 1, 1: bytes_max}.get(number, size)
        files.append(
            File(
                f"{number:0{DIGITS}}.raw",
                number % clients,
                chance.uniform(0, seconds) if number else 0.0,
                size,
                f"{seed} {number}",
            )
        )
    known: set[str] = set()
    for file in files:
        while (digest := hashlib.sha256(file.content()).hexdigest()) in known:
            file.size += 1
        known.add(digest)
        file.sha256 = digest
    return sorted(files, key=lambda file: file.drop_at)


def drop(file: File, inbox: Path) -> None:
    """Puts a file into an inbox under its name in one step."""
    hidden = inbox / f".{file.name}.part"
    hidden.write_bytes(file.content())
    hidden.rename(inbox / file.name)


@dataclass
class Results:
    """Watches the results folder of one client: what came, and what was written more than once."""

    folder: Path
    versions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def look(self) -> int:
        """Notes every file's inode and time; gives how many there are."""
        for path in self.folder.rglob("*"):
            if path.name.startswith(".") or not path.is_file():
                continue
            state = path.stat()
            seen = self.versions.setdefault(str(path.relative_to(self.folder)), [])
            version = (state.st_ino, state.st_mtime_ns)
            if version not in seen:
                seen.append(version)
        return len(self.versions)

    def rewritten(self) -> list[str]:
        """Results that were written more than once."""
        return sorted(name for name, seen in self.versions.items() if len(seen) > 1)

    def wrong(self, files: list[File]) -> list[str]:
        """What is missing, wrong or too much, in a sentence each."""
        faults = []
        expected = {f"{file.name}.json": file for file in files}
        for name, file in expected.items():
            path = self.folder / name
            if not path.exists():
                faults.append(f"{file.name}: no result ({file.size} bytes)")
                continue
            try:
                told = json.loads(path.read_text())
            except ValueError as error:
                faults.append(f"{file.name}: its result is no JSON: {error}")
                continue
            if (told.get("size"), told.get("sha256")) != (file.size, file.sha256):
                faults.append(f"{file.name}: its result is another's: {told}")
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_file() and name not in expected:
                start = path.read_bytes()[:300].decode("utf-8", "replace")
                faults.append(f"{name}: a result nobody expects: {start}")
        return faults
