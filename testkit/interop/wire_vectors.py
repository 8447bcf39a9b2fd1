"""The wire format's vectors, valid and broken, made with Node's crypto."""

import json
from pathlib import Path

_VECTORS = json.loads((Path(__file__).parent / "vectors" / "wire.json").read_text(encoding="utf-8"))
JOBS = _VECTORS["jobs"]
SEALED = _VECTORS["sealed"]


def label(vector):
    """A test's name for a vector."""
    return vector.get("why", "as made").replace(" ", "-")
