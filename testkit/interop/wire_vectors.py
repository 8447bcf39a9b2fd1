"""The wire format's vectors, valid and broken, made with Node's crypto."""

import json
from pathlib import Path

_FILE = Path(__file__).resolve().parents[2] / "engine" / "tests" / "vectors" / "wire.json"
_VECTORS = json.loads(_FILE.read_text(encoding="utf-8"))
JOBS = _VECTORS["jobs"]
SEALED = _VECTORS["sealed"]


def label(vector):
    """A test's name for a vector."""
    return vector.get("why", "as made").replace(" ", "-")
