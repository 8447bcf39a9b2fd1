"""Runs the shell commands of README.md as a newcomer does: in order, in one shell.

They run in a scratch folder that stands in for the clone, so that nothing is left behind, and on a free port. The
block that only runs the Rust tests is left out: `.ci/run` has a step with that very command.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = "cargo test --workspace\n"
SECONDS_MAX = 900
# cargo builds the clone itself; what it runs starts in the scratch folder, as it would in the clone.
PROLOGUE = f"""
set -euo pipefail
cargo() {{ local command=$1; shift; command cargo "$command" --manifest-path '{ROOT}/Cargo.toml' "$@"; }}
set -v
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main():
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    if TESTS not in blocks:
        sys.exit(f"README.md does not name the tests as .ci/run runs them: {TESTS}")
    commands = "\n".join(block for block in blocks if block != TESTS)
    folder = Path(tempfile.mkdtemp(prefix="readme-"))
    script = folder / "commands.sh"
    script.write_text(PROLOGUE + re.sub(r"\b8000\b", str(free_port()), commands))
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "target").symlink_to(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve())
    shell = subprocess.Popen(
        ["bash", script],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        shell.wait(SECONDS_MAX)
    finally:
        # What the commands started and did not end; the group is gone when they ended it all.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shutil.rmtree(folder, ignore_errors=True)
    if shell.returncode != 0:
        sys.exit(f"README.md: the last command above ended with {shell.returncode}")
    print(f"README.md: {len(blocks) - 1} blocks of commands ran")


if __name__ == "__main__":
    main()
