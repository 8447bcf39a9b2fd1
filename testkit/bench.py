"""Times `roundtrip local` on one large file and prints seconds, rate and peak memory.

Usage: python3 testkit/bench.py [MIB]. The binary is $ROUNDTRIP_BIN, by default the release build.
"""

import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = Path(os.environ.get("ROUNDTRIP_BIN", ROOT / "target" / "release" / "roundtrip"))
MIB = 1 << 20
BLOCK_BYTES = 16 * MIB


def make(path, size):
    """A file that compresses about as a microscope's does: half of each block is noise; gives its SHA-256."""
    noise = random.Random(0)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, BLOCK_BYTES):
            length = min(BLOCK_BYTES, size - start)
            block = noise.randbytes(length // 2) + bytes(length - length // 2)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def main():
    size = int(sys.argv[1]) * MIB if len(sys.argv) > 1 else 1024 * MIB
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release`, or set ROUNDTRIP_BIN")
    with tempfile.TemporaryDirectory() as folder:
        inbox, results = Path(folder, "in"), Path(folder, "out")
        inbox.mkdir()
        digest = make(inbox / "large.raw", size)
        start = time.monotonic()
        subprocess.run(
            [
                BINARY,
                "local",
                "--inbox",
                inbox,
                "--results",
                results,
                "--state",
                Path(folder, "state"),
                "--once",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - start
        told = json.loads((results / "large.raw.json").read_text())["sha256"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{size // MIB} MiB in {seconds:.1f} s: {size / MIB / seconds:.0f} MiB/s, peak memory {peak} MiB")
    sys.exit(told != digest)


if __name__ == "__main__":
    main()
